from django.conf import settings
from django.db import models


class Department(models.Model):
    title = models.CharField(max_length=100, unique=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True)


class Skill(models.Model):
    title = models.CharField(max_length=100)
    level = models.PositiveSmallIntegerField(default=1)


class Employee(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, null=True)
    department = models.ForeignKey(Department, models.CASCADE)
    skills = models.ManyToManyField(Skill)
    name = models.CharField(max_length=100, db_index=True)
    hired = models.DateField(null=True)
    short_name = models.CharField(max_length=20, default="")

    class Meta:
        indexes = [models.Index(fields=["department", "name"], name="people_by_department")]


class Contract(models.Model):
    employee = models.ForeignKey(Employee, models.CASCADE)
    begin = models.DateField()
    end = models.DateField(null=True)
    hours = models.DecimalField(max_digits=4, decimal_places=1, default=40)


class Absence(models.Model):
    employee = models.ForeignKey(Employee, models.CASCADE)
    begin = models.DateField(db_index=True)
    end = models.DateField()
    reason = models.TextField(default="", blank=True)
