from functools import partial

from django.conf import settings
from django.db import models, transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.urls import reverse
from django.utils import timezone


class Project(models.Model):
    name = models.CharField(max_length=80, unique=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("project", args=[self.pk])


class Task(models.Model):
    class Status(models.IntegerChoices):
        TODO = 1, "To do"
        DOING = 2, "In progress"
        DONE = 3, "Done"

    project = models.ForeignKey(Project, models.CASCADE, related_name="tasks")
    title = models.CharField(max_length=200)
    description = models.TextField(max_length=4000, blank=True)
    status = models.PositiveSmallIntegerField(choices=Status, default=Status.TODO)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="tasks"
    )
    due_date = models.DateField("due", null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["status", models.F("due_date").asc(nulls_last=True), "created", "pk"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("task", args=[self.pk])

    @property
    def is_done(self) -> bool:
        return self.status == self.Status.DONE

    @property
    def is_overdue(self) -> bool:
        return (
            not self.is_done and self.due_date is not None and self.due_date < timezone.localdate()
        )


class Attachment(models.Model):
    """A file on a task; the storage in STORAGES decides where it is kept."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="attachments")
    file = models.FileField(upload_to="attachments")
    name = models.CharField(max_length=255)  # As the uploader had it: the storage may need another.
    size = models.PositiveIntegerField()
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="attachments"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created", "pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("download", args=[self.pk])


@receiver(post_delete, sender=Attachment)
def delete_file(instance: Attachment, **kwargs: object) -> None:
    """Delete the file when its row is gone for good: a rollback must find it in its place."""
    transaction.on_commit(partial(instance.file.delete, save=False))
