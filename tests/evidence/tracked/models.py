"""What django-pghistory records by triggers, and django-pgtrigger forbids."""

import pghistory
import pgtrigger
from django.db import models


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class Ticket(models.Model):
    title = models.CharField(max_length=100)
    state = models.CharField(max_length=10, default="open")
    parent = models.ForeignKey("self", models.SET_NULL, null=True)

    class Meta:
        triggers = [
            pgtrigger.FSM(
                name="states", field="state", transitions=[("open", "done"), ("done", "open")]
            ),
            pgtrigger.SoftDelete(name="soft_delete", field="is_active"),
        ]

    is_active = models.BooleanField(default=True)


class Frozen(models.Model):
    text = models.TextField()

    class Meta:
        triggers = [
            pgtrigger.Protect(name="protect_deletes", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="read_only", fields=["text"]),
        ]
