from django.db import models


class Announcement(models.Model):
    """A word from the operator, one row in `public` that every workspace shows."""

    text = models.CharField(max_length=200)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.text
