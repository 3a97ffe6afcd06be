from wagtail.models import Page


class HomePage(Page):  # type: ignore[misc] # Wagtail has no types.
    template = "home/home_page.html"
