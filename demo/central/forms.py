import re

from django import forms
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError

from appschema.models import Schema

MAX_WORKSPACES = 50  # Each has tables of its own, and a demo should stay small.
RESERVED = {"admin", "api", "localhost", "mail", "public", "static", "www"}
# A part of a host name as everybody writes it; PostgreSQL would take more.
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class SignUpForm(forms.Form):
    workspace = forms.CharField(
        max_length=30,
        help_text="Becomes its address: <em>name</em>.localhost",
        widget=forms.TextInput(attrs={"autocapitalize": "none", "autocomplete": "organization"}),
    )
    # Not a ModelForm of User, which would look for the name in a table that is not there yet.
    username = forms.CharField(
        label="Your user name",
        max_length=150,
        validators=[UnicodeUsernameValidator()],
        widget=forms.TextInput(attrs={"autocapitalize": "none", "autocomplete": "username"}),
    )
    password = forms.CharField(
        strip=False,
        help_text="At least 8 characters, and none of the passwords that everybody uses.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_workspace(self) -> str:
        """Say in a sentence why a name will not do."""
        name: str = self.cleaned_data["workspace"]
        if name != name.lower() and NAME.fullmatch(name.lower()):
            raise ValidationError(f"Use small letters: “{name.lower()}” in place of “{name}”.")
        if not NAME.fullmatch(name):
            raise ValidationError(
                "Use the small letters a to z, digits, and single hyphens between them, and begin"
                " with a letter, as in “our-team”."
            )
        if name in RESERVED:
            raise reserved(name)
        if Schema.objects.filter(name=name).exists():
            raise taken(name)
        return name

    def clean(self) -> None:
        """Judge the password, and whether there is room."""
        username, password = (self.cleaned_data.get(each) for each in ("username", "password"))
        if password:
            try:
                validate_password(password, User(username=username or ""))
            except ValidationError as error:
                self.add_error("password", error)
        # Sign-ups at the same moment may pass together: the limit is a fence, not an account.
        if Schema.objects.count() >= MAX_WORKSPACES:
            raise ValidationError(
                f"This demo has room for {MAX_WORKSPACES} workspaces, and all are taken. Whoever runs it"
                " can drop one with “python demo/manage.py dropschema NAME --now”."
            )


def taken(name: str) -> ValidationError:
    """Return the error for a name that is in use."""
    return ValidationError(f"There is a workspace “{name}” already. Choose another name.")


def reserved(name: str) -> ValidationError:
    """Return the error for a name that nobody may have."""
    return ValidationError(f"The name “{name}” is reserved. Choose another.")
