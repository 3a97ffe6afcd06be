from django.contrib import admin

from demo.tracker.models import Attachment, Project, Task


class TaskInline(admin.TabularInline):
    model = Task
    fields = ["title", "status", "assignee", "due_date"]
    extra = 0


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ["name", "created"]
    search_fields = ["name"]
    inlines = [TaskInline]


@admin.register(Task)
class TaskAdmin(admin.ModelAdmin):
    list_display = ["title", "project", "status", "assignee", "due_date"]
    list_filter = ["status", "project", "assignee"]
    search_fields = ["title", "description"]


@admin.register(Attachment)
class AttachmentAdmin(admin.ModelAdmin):
    # Files come in by the task's page, which knows the limits.
    list_display = ["name", "task", "size", "uploaded_by", "created"]
    fields = ["name", "task", "size", "uploaded_by", "created"]
    readonly_fields = ["name", "task", "size", "uploaded_by", "created"]

    def has_add_permission(self, request: object) -> bool:
        return False
