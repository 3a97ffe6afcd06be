from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("catalogue", "0002_product_data")]
    operations = [
        migrations.RunSQL(
            "UPDATE catalogue_product SET weight = 0 WHERE weight < 0", migrations.RunSQL.noop
        )
    ]
