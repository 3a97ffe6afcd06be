import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("appschema", "0004_ledger"),
    ]

    operations = [
        migrations.AlterField(
            model_name="ledgerentry",
            name="applied",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="entries",
                to="appschema.appliedset",
            ),
        ),
    ]
