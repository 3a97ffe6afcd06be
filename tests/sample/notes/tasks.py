"""Tasks of Django 6.0 and later; import it where TASKS names a backend."""

from django.tasks import task

from .models import Note


@task
def tell(kind: str) -> str:
    return f"{kind}: {Note.objects.get().title}"


@task
async def tell_async(kind: str) -> str:
    note = await Note.objects.aget()
    return f"{kind}: {note.title}"
