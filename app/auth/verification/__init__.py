"""Real-name verification at a provider or by ID card, and the review of ID cards by operators.

Tables: `verifications`, `verification_pictures`. Doors: `router`, and pages in `app.console.app_links`.
"""
