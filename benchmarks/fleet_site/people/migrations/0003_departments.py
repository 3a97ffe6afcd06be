from typing import Any

from django.db import migrations

TITLES = ("Board", "Buying", "Selling", "Support")


def make_departments(apps: Any, editor: Any) -> None:
    department = apps.get_model("people", "Department")
    department.objects.using(editor.connection.alias).bulk_create(
        department(title=title) for title in TITLES
    )


class Migration(migrations.Migration):
    dependencies = [("people", "0002_skill_level")]
    operations = [migrations.RunPython(make_departments, migrations.RunPython.noop)]
