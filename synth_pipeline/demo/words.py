"""The word lists of the demo: names by generation, cities by region, streets, plans. No sampling here."""

from __future__ import annotations

FEMALE = {
    "old": (
        "Mary Patricia Linda Barbara Elizabeth Susan Margaret Dorothy Nancy Karen Betty Helen Sandra Donna Carol Ruth "
        "Sharon Judith Joan Gloria"
    ).split(),
    "middle": (
        "Jennifer Michelle Kimberly Lisa Angela Amy Melissa Stephanie Rebecca Heather Nicole Christine Julie Laura "
        "Rachel Tracy Dawn Tina"
    ).split(),
    "young": (
        "Emily Jessica Ashley Sarah Samantha Hannah Alexis Taylor Madison Olivia Megan Lauren Chloe Grace Brianna "
        "Destiny Sofia Zoe Mia"
    ).split(),
}
MALE = {
    "old": (
        "James Robert John William Richard Charles Donald George Kenneth Edward Ronald Frank Raymond Walter Harold "
        "Henry Arthur Albert"
    ).split(),
    "middle": (
        "Michael David Christopher Brian Jason Kevin Jeffrey Scott Eric Mark Steven Timothy Gregory Todd Sean Craig "
        "Chad Derek Keith"
    ).split(),
    "young": (
        "Joshua Matthew Tyler Brandon Jacob Zachary Ethan Austin Dylan Logan Noah Liam Mason Caleb Hunter Jordan Cody "
        "Trevor Diego"
    ).split(),
}
LAST = (
    "Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson Thomas Taylor Moore "
    "Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young Allen King Wright Scott Torres Nguyen "
    "Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter Roberts Gomez Phillips Evans Turner Diaz Parker Cruz Edwards "
    "Collins Reyes Stewart Morris Morales Murphy Cook Rogers Gutierrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox "
    "Ward Richardson Watson Brooks Chavez Wood James Bennett Gray Mendoza Ruiz Hughes Price Alvarez Castillo Sanders Patel Myers Long Ross "
    "O'Brien O'Connor MacDonald van Dyke de Luca Schmidt Kowalski Ivanov Okafor Yamamoto"
).replace("van Dyke", "van_Dyke").replace("de Luca", "de_Luca").split()  # fmt: skip
STREETS = (
    "Main Oak Pine Maple Cedar Elm View Washington Lake Hill Park River Church Spring Ridge Sunset Highland Forest Jefferson Madison Walnut "
    "Chestnut Franklin Lincoln Jackson Mill Adams Center Dogwood Hickory Locust Meadow Willow Cherry Broad Valley Franklin Harbor Orchard"
).split()  # fmt: skip
STREET_KINDS = ("Street", "Avenue", "Road", "Lane", "Drive", "Court", "Boulevard")
MAIL_HOSTS = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.org")

# region: share of the clients, then per city (name, share, latitude, longitude, first three digits of the postal code)
REGIONS: dict[str, tuple[float, tuple[tuple[str, float, float, float, str], ...]]] = {
    "Northeast": (
        0.22,
        (
            ("New York", 0.5, 40.71, -74.01, "100"),
            ("Boston", 0.3, 42.36, -71.06, "021"),
            ("Hartford", 0.2, 41.76, -72.67, "061"),
        ),
    ),
    "Mid-Atlantic": (
        0.15,
        (
            ("Philadelphia", 0.5, 39.95, -75.17, "191"),
            ("Baltimore", 0.3, 39.29, -76.61, "212"),
            ("Dover", 0.2, 39.16, -75.52, "199"),
        ),
    ),
    "Southeast": (
        0.16,
        (
            ("Atlanta", 0.4, 33.75, -84.39, "303"),
            ("Miami", 0.4, 25.76, -80.19, "331"),
            ("Charlotte", 0.2, 35.23, -80.84, "282"),
        ),
    ),
    "Midwest": (
        0.17,
        (
            ("Chicago", 0.5, 41.88, -87.63, "606"),
            ("Detroit", 0.2, 42.33, -83.05, "482"),
            ("Columbus", 0.3, 39.96, -83.00, "432"),
        ),
    ),
    "Plains": (
        0.06,
        (
            ("Omaha", 0.5, 41.26, -95.93, "681"),
            ("Wichita", 0.3, 37.69, -97.34, "672"),
            ("Fargo", 0.2, 46.88, -96.79, "581"),
        ),
    ),
    "South": (
        0.1,
        (
            ("Houston", 0.4, 29.76, -95.37, "770"),
            ("Dallas", 0.4, 32.78, -96.80, "752"),
            ("Austin", 0.2, 30.27, -97.74, "787"),
        ),
    ),
    "Mountain": (
        0.05,
        (
            ("Denver", 0.6, 39.74, -104.99, "802"),
            ("Boise", 0.2, 43.62, -116.20, "837"),
            ("Helena", 0.2, 46.59, -112.04, "596"),
        ),
    ),
    "Pacific": (
        0.09,
        (
            ("Los Angeles", 0.5, 34.05, -118.24, "900"),
            ("Seattle", 0.3, 47.61, -122.33, "981"),
            ("Portland", 0.2, 45.52, -122.68, "972"),
        ),
    ),
}

# plan: monthly fee in cents, data limit in GB (None: no data), cents per further GB
PLANS: dict[str, tuple[int, int | None, int]] = {
    "talk": (190, None, 0),
    "basic": (990, 1, 900),
    "smart": (1990, 4, 600),
    "max": (3490, 12, 400),
    "family": (4990, 20, 400),
    "business": (7990, 40, 250),
}
METHODS = ("direct debit", "card", "transfer", "cash")
