"""The products on sale: made-up names in the reference lab's categories."""

from __future__ import annotations

CATEGORIES = {
    "Exercise": 158, "Books": 147, "Gaming": 127, "Cocktail Glasses": 108, "Furniture": 104,
    "Electronics": 89, "Sport Shoes": 79, "Binoculars": 14,
}  # fmt: skip
"""Categories and how often the profile of 826 rows has them."""
PRODUCTS = {
    "Exercise": (("Yoga Mat", 24.5), ("Kettlebell", 39.9), ("Jump Rope", 12.0)),
    "Books": (("Atlas of Coasts", 34.95), ("Surf Stories", 14.99), ("Green Kitchen", 22.0)),
    "Gaming": (("Racing Wheel", 119.0), ("Headset", 64.9), ("Arcade Stick", 89.5)),
    "Cocktail Glasses": (("Coupe Set", 27.5), ("Highball Set", 21.25)),
    "Furniture": (("Deck Chair", 74.0), ("Side Table", 58.75), ("Hammock", 66.6)),
    "Electronics": (("Speaker", 79.99), ("Power Bank", 29.95), ("Camera", 249.0)),
    "Sport Shoes": (("Trail Runner", 94.5), ("Court Shoe", 84.0)),
    "Binoculars": (("Field Glass", 139.0),),
}
"""Products of each category and what a piece costs."""
BRANDS = ("BrandA", "BrandB", "BrandC")
