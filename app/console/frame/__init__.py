"""What all pages share: routes, templates, forms, notices, confirmations, assets."""
