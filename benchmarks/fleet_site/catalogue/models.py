from django.db import models


class Brand(models.Model):
    title = models.CharField(max_length=100, unique=True)


class Category(models.Model):
    title = models.CharField(max_length=100)
    slug = models.SlugField()
    parent = models.ForeignKey("self", models.CASCADE, null=True)

    class Meta:
        unique_together = [("parent", "slug")]


class Product(models.Model):
    plan = models.ForeignKey("plans.Plan", models.PROTECT, null=True)
    brand = models.ForeignKey(Brand, models.CASCADE)
    categories = models.ManyToManyField(Category)
    title = models.CharField(max_length=200, db_index=True)
    number = models.CharField(max_length=20, unique=True)
    weight = models.IntegerField(default=0)
    is_sold = models.BooleanField(default=True)
    data = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(weight__gte=0), name="catalogue_weight")
        ]


class Price(models.Model):
    product = models.ForeignKey(Product, models.CASCADE)
    since = models.DateTimeField()
    amount = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        indexes = [models.Index(fields=["product", "-since"], name="catalogue_price_since")]


class Picture(models.Model):
    product = models.ForeignKey(Product, models.CASCADE)
    path = models.CharField(max_length=200)
    position = models.PositiveIntegerField(default=0)
