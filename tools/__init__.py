"""Programs for developers that are neither tests nor part of the product."""
