"""Download tables from archives: plan a request, estimate it, download it in pieces, assemble the table."""
