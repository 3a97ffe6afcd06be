from typing import Any

from django.db import migrations

TITLES = ("broken", "late", "question")


def make_labels(apps: Any, editor: Any) -> None:
    label = apps.get_model("support", "Label")
    label.objects.using(editor.connection.alias).bulk_create(label(title=title) for title in TITLES)


class Migration(migrations.Migration):
    dependencies = [("support", "0002_priority")]
    operations = [migrations.RunPython(make_labels, migrations.RunPython.noop)]
