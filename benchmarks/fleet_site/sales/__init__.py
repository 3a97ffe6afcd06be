"""To whom, and how it is paid."""
