from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet, Sum
from django.template.defaultfilters import filesizeformat

from demo.tracker.models import Attachment, Project, Task

MEBIBYTE = 1024 * 1024
MAX_FILE = 2 * MEBIBYTE
MAX_FILES = 20 * MEBIBYTE  # Of a whole workspace: visitors of a demo must not fill its disk.


class ProjectForm(forms.ModelForm):
    class Meta:
        model = Project
        fields = ["name"]


class DateInput(forms.DateInput):
    """The browser's own date picker, which understands this format only."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class NewTaskForm(forms.ModelForm):
    assignee = forms.ModelChoiceField(
        User.objects.filter(is_active=True), empty_label="Nobody", required=False
    )

    class Meta:
        model = Task
        fields = ["title", "assignee", "due_date"]
        widgets = {"due_date": DateInput()}


class TaskForm(NewTaskForm):
    class Meta(NewTaskForm.Meta):
        fields = ["title", "description", "status", "assignee", "due_date"]


class TaskFilter(forms.Form):
    """What a project's page shows; every field may be left out."""

    status = forms.TypedChoiceField(
        choices=[("", "Any"), *Task.Status.choices], coerce=int, empty_value=None, required=False
    )
    assignee = forms.ModelChoiceField(User.objects.all(), empty_label="Anybody", required=False)

    def apply(self, tasks: QuerySet[Task]) -> QuerySet[Task]:
        """Return those of `tasks` that were asked for, by what is valid of the question."""
        self.full_clean()
        asked = {name: value for name, value in self.cleaned_data.items() if value is not None}
        return tasks.filter(**asked)


class AttachmentForm(forms.ModelForm):
    class Meta:
        model = Attachment
        fields = ["file"]
        help_texts = {"file": f"Up to {filesizeformat(MAX_FILE)}."}

    def clean_file(self) -> UploadedFile:
        """Refuse what is too large, alone or with what is here already."""
        file: UploadedFile = self.cleaned_data["file"]
        size = file.size or 0
        if size > MAX_FILE:
            raise ValidationError(
                f"This file has {filesizeformat(size)}; a file may have up to {filesizeformat(MAX_FILE)}."
            )
        # Two uploads at the same moment may pass together: the limit is a fence, not an account.
        used = Attachment.objects.aggregate(used=Sum("size", default=0))["used"]
        if used + size > MAX_FILES:
            raise ValidationError(
                f"All files together may have {filesizeformat(MAX_FILES)}, and {filesizeformat(used)}"
                " are used. Delete some first."
            )
        return file

    def save(self, commit: bool = True) -> Any:
        file: UploadedFile = self.cleaned_data["file"]
        self.instance.name, self.instance.size = file.name, file.size
        return super().save(commit)
