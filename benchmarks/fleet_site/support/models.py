from django.conf import settings
from django.db import models


class Label(models.Model):
    title = models.CharField(max_length=50, unique=True)
    colour = models.CharField(max_length=7, default="#000000")


class Ticket(models.Model):
    customer = models.ForeignKey("sales.Customer", models.CASCADE)
    employee = models.ForeignKey("people.Employee", models.SET_NULL, null=True)
    labels = models.ManyToManyField(Label)
    title = models.CharField(max_length=200)
    opened = models.DateTimeField(db_index=True)
    priority = models.SmallIntegerField(default=0, db_index=True)


class Message(models.Model):
    ticket = models.ForeignKey(Ticket, models.CASCADE)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)
    text = models.TextField()
    written = models.DateTimeField(auto_now_add=True)


class Attachment(models.Model):
    message = models.ForeignKey(Message, models.CASCADE)
    path = models.CharField(max_length=200)
    size = models.BigIntegerField(default=0)


class Rating(models.Model):
    ticket = models.OneToOneField(Ticket, models.CASCADE)
    stars = models.PositiveSmallIntegerField(db_index=True)
