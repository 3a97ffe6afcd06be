from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notes", "0002_attachment_and_welcome")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX notes_note_lower_title ON notes_note (lower(title))",
            "DROP INDEX notes_note_lower_title",
        ),
    ]
