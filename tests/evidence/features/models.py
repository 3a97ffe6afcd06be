"""What django.contrib.postgres and Django itself can put into a table."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import (
    ArrayField,
    DateTimeRangeField,
    HStoreField,
    IntegerRangeField,
    RangeOperators,
)
from django.contrib.postgres.indexes import (
    BloomIndex,
    BrinIndex,
    BTreeIndex,
    GinIndex,
    GistIndex,
    HashIndex,
    OpClass,
    SpGistIndex,
)
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now, Upper


class Room(models.Model):
    name = models.CharField(max_length=50, unique=True, db_collation="case_insensitive")
    number = models.PositiveSmallIntegerField(db_default=1, db_comment="as on the door")
    tags = ArrayField(models.CharField(max_length=20), default=list)
    extra = HStoreField(default=dict)
    made = models.DateTimeField(db_default=Now())
    label = models.GeneratedField(
        expression=Upper("name"), output_field=models.TextField(), db_persist=True
    )

    class Meta:
        db_table_comment = "rooms to be booked"
        indexes = [
            GinIndex(fields=["tags"], name="room_tags", fastupdate=False),
            GinIndex(fields=["extra"], name="room_extra"),
            GinIndex(OpClass(Lower("label"), name="gin_trgm_ops"), name="room_label_trgm"),
            BloomIndex(fields=["label"], length=80, name="room_bloom"),
            HashIndex(fields=["number"], name="room_hash"),
            BTreeIndex(
                fields=["-number"], name="room_partial", condition=Q(number__gt=1), fillfactor=70
            ),
            models.Index(Lower("label").desc(nulls_last=True), name="room_lower"),
            models.Index(fields=["number"], include=["made"], name="room_covering"),
            models.Index(fields=["label"], opclasses=["text_pattern_ops"], name="room_pattern"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(number__in=[1, 2, 3]), name="room_number"),
            models.CheckConstraint(condition=Q(name__in=["x", "y"]) | Q(number=1), name="room_in"),
            models.UniqueConstraint(
                fields=["name", "made"], nulls_distinct=False, name="room_nulls_not_distinct"
            ),
            models.UniqueConstraint(Lower("label"), name="room_lower_unique"),
            models.UniqueConstraint(
                fields=["number"], condition=Q(tags__len=9), include=["id"], name="room_conditional"
            ),
        ]


class Booking(models.Model):
    room = models.ForeignKey(Room, models.CASCADE)
    during = DateTimeRangeField()
    seats = IntegerRangeField(null=True)
    text = models.TextField(default="")
    search = SearchVectorField(null=True)
    found = models.GeneratedField(
        expression=SearchVector("text", config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        indexes = [
            GinIndex(fields=["search"], name="booking_search"),
            GistIndex(fields=["during"], name="booking_during"),
            SpGistIndex(fields=["seats"], name="booking_seats"),
            BrinIndex(fields=["id"], name="booking_brin", pages_per_range=4, autosummarize=True),
        ]
        constraints = [
            ExclusionConstraint(
                name="booking_exclude",
                expressions=[
                    (F("room"), RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                condition=Q(seats__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["room", "text"], deferrable=models.Deferrable.DEFERRED, name="booking_defer"
            ),
        ]


class Renamed(models.Model):
    """It was called otherwise, and its key was smaller."""

    note = models.TextField()

    class Meta:
        db_table = "renamed table"


class Person(models.Model):
    rooms = models.ManyToManyField(Room)
    friends = models.ManyToManyField("self")


class Guest(Person):
    room = models.OneToOneField(Room, models.CASCADE, null=True)
