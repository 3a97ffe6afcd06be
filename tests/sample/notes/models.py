from django.conf import settings
from django.db import models


class Note(models.Model):
    title = models.CharField(max_length=100)
    body = models.TextField(blank=True)
    tag = models.ForeignKey("tags.Tag", models.SET_NULL, null=True, blank=True)
    plan = models.ForeignKey("plans.Plan", models.SET_NULL, null=True, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)

    def __str__(self) -> str:
        return self.title


class Attachment(models.Model):
    note = models.ForeignKey(Note, models.CASCADE)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name
