"""The sign-in page with its QR code."""
