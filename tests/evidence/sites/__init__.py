"""The settings of one project for each application; the name of a module is the site's."""
