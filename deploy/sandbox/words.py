"""The word lists that the seeded world draws its names from: data, no logic."""
# ruff: noqa: E501  # a word list is a row, however long

__all__ = ["CATEGORIES", "COLOURS", "FINISHES", "PLACES", "STREETS", "SURNAMES", "TRADES"]

# category, tax group, lowest and highest list price in pence, weight in grams, nouns
CATEGORIES = (
    ("LIGHTING", "STANDARD", 195, 4995, 420, ("Lantern", "T-Light Holder", "Table Lamp", "Pendant Shade", "Fairy Light String", "Candle Holder", "Wall Sconce", "Storm Lamp")),
    ("KITCHEN", "STANDARD", 125, 5495, 640, ("Mixing Bowl", "Storage Jar", "Cake Stand", "Butter Dish", "Egg Cup", "Measuring Jug", "Bread Bin", "Chopping Board", "Enamel Mug", "Oven Glove")),
    ("TEXTILES", "STANDARD", 225, 6995, 380, ("Cushion Cover", "Tea Towel", "Table Runner", "Door Stop", "Throw", "Apron", "Peg Bag", "Hot Water Bottle")),
    ("STATIONERY", "STANDARD", 45, 1495, 180, ("Notebook", "Gift Wrap", "Photo Frame", "Memo Board", "Pencil Tin", "Greeting Card Set", "Ribbon Reel", "Sticker Sheet")),
    ("GARDEN", "STANDARD", 195, 8995, 950, ("Watering Can", "Planter", "Bird Feeder", "Herb Marker", "Garden Stool", "Seed Tin", "Hanging Basket", "Wind Chime")),
    ("BOOKS", "ZERO", 295, 1995, 520, ("Colouring Book", "Recipe Book", "Picture Book", "Field Guide", "Pocket Atlas")),
    ("GROCERY", "ZERO", 95, 1295, 310, ("Shortbread Tin", "Loose Leaf Tea", "Marmalade", "Honey Jar", "Oatcakes")),
    ("CHILDREN", "ZERO", 245, 3495, 260, ("Rain Boots", "Woollen Mittens", "Sun Hat", "Cotton Pyjamas", "Bib")),
    ("ENERGY", "REDUCED", 395, 9995, 1200, ("Draught Excluder", "Insulation Roll", "Radiator Reflector", "Thermostat Valve")),
    ("STORAGE", "STANDARD", 175, 7995, 870, ("Wicker Basket", "Drawer Organiser", "Tin Box", "Laundry Hamper", "Coat Hook", "Shelf Bracket", "Key Cabinet")),
    ("HARDWARE", "STANDARD", 65, 3995, 210, ("Door Knob", "Hinge Pair", "Cabinet Handle", "Brass Bolt", "Hook Plate", "Letter Plate", "Picture Rail Hook")),
    ("PARTY", "STANDARD", 35, 1995, 90, ("Paper Bunting", "Cake Case Pack", "Paper Lantern", "Confetti Box", "Napkin Pack", "Balloon Pack")),
)  # fmt: skip

COLOURS = ("Ivory", "Sage", "Indigo", "Coral", "Slate", "Ochre", "Rose", "Teal", "Charcoal", "Mint", "Crimson", "Sand", "Navy", "Olive", "Lilac", "Copper", "White", "Black", "Denim", "Mustard")  # fmt: skip
FINISHES = ("Small", "Medium", "Large", "Ribbed", "Glazed", "Polka Dot", "Striped", "Vintage", "Hammered", "Woven", "Fluted", "Folding", "Set of 3", "Set of 6", "Retro", "Botanical", "Scandi", "Rustic", "Matt", "Brushed")  # fmt: skip

# country -> (region, state, city, postcode pattern: '#' a digit, '@' a letter)
PLACES = {
    "GB": (("UK-NORTH", "", "Leeds", "LS# #@@"), ("UK-NORTH", "", "Manchester", "M# #@@"), ("UK-NORTH", "", "Newcastle upon Tyne", "NE# #@@"), ("UK-SOUTH", "", "Bristol", "BS# #@@"), ("UK-SOUTH", "", "Brighton", "BN# #@@"), ("UK-SOUTH", "", "London", "SE# #@@"), ("UK-MIDLANDS", "", "Birmingham", "B# #@@"), ("UK-MIDLANDS", "", "Nottingham", "NG# #@@"), ("UK-NORTH", "", "Glasgow", "G# #@@"), ("UK-SOUTH", "", "Cardiff", "CF# #@@")),
    "IE": (("EU-WEST", "", "Dublin", "D## @#@#"), ("EU-WEST", "", "Cork", "T## @#@#"), ("EU-WEST", "", "Galway", "H## @#@#")),
    "DE": (("EU-CENTRAL", "", "Hamburg", "2####"), ("EU-CENTRAL", "", "Berlin", "1####"), ("EU-CENTRAL", "", "München", "8####"), ("EU-CENTRAL", "", "Köln", "5####"), ("EU-CENTRAL", "", "Leipzig", "0####")),
    "FR": (("EU-WEST", "", "Lyon", "69###"), ("EU-WEST", "", "Paris", "75###"), ("EU-WEST", "", "Nantes", "44###"), ("EU-WEST", "", "Lille", "59###")),
    "NL": (("EU-CENTRAL", "", "Utrecht", "35## @@"), ("EU-CENTRAL", "", "Rotterdam", "30## @@"), ("EU-CENTRAL", "", "Groningen", "97## @@")),
    "BE": (("EU-CENTRAL", "", "Antwerpen", "20##"), ("EU-CENTRAL", "", "Gent", "90##"), ("EU-CENTRAL", "", "Liège", "40##")),
    "ES": (("EU-SOUTH", "", "Madrid", "28###"), ("EU-SOUTH", "", "Valencia", "46###"), ("EU-SOUTH", "", "Bilbao", "48###")),
    "IT": (("EU-SOUTH", "", "Milano", "20###"), ("EU-SOUTH", "", "Bologna", "40###"), ("EU-SOUTH", "", "Torino", "10###")),
    "SE": (("NORDICS", "", "Göteborg", "41# ##"), ("NORDICS", "", "Stockholm", "11# ##"), ("NORDICS", "", "Malmö", "21# ##")),
    "PL": (("EU-CENTRAL", "", "Kraków", "30-###"), ("EU-CENTRAL", "", "Gdańsk", "80-###"), ("EU-CENTRAL", "", "Wrocław", "50-###")),
    "US": (("US-WEST", "CA", "Oakland", "946##"), ("US-WEST", "WA", "Tacoma", "984##"), ("US-EAST", "NY", "Albany", "122##"), ("US-EAST", "MA", "Boston", "021##"), ("US-CENTRAL", "TX", "Austin", "787##"), ("US-CENTRAL", "IL", "Chicago", "606##"), ("US-WEST", "OR", "Portland", "972##"), ("US-EAST", "FL", "Tampa", "336##")),
    "CH": (("EU-CENTRAL", "", "Basel", "40##"), ("EU-CENTRAL", "", "Bern", "30##"), ("EU-CENTRAL", "", "Zürich", "80##")),
}  # fmt: skip

# country -> street patterns: '#' is a house number
STREETS = {
    "GB": ("# Mill Lane", "# Station Road", "# Victoria Street", "# Canal Wharf", "# Orchard Way"),
    "IE": ("# Quay Street", "# Main Street", "# Bridge Road"),
    "DE": ("Hafenstraße #", "Gartenweg #", "Industriestraße #", "Lindenallee #"),
    "FR": ("# rue des Tanneurs", "# avenue Foch", "# quai du Port", "# rue Centrale"),
    "NL": ("Havenweg #", "Molenstraat #", "Parallelweg #"),
    "BE": ("Kerkstraat #", "Nijverheidslaan #", "Stationsplein #"),
    "ES": ("Calle Mayor #", "Avenida del Puerto #", "Calle del Sol #"),
    "IT": ("Via Roma #", "Via dei Mille #", "Corso Italia #"),
    "SE": ("Hamngatan #", "Storgatan #", "Kungsvägen #"),
    "PL": ("ul. Portowa #", "ul. Długa #", "ul. Ogrodowa #"),
    "US": ("# Harbor Drive", "# Maple Avenue", "# Industrial Parkway", "# 5th Street"),
    "CH": ("Bahnhofstrasse #", "Seeweg #", "Marktgasse #"),
}  # fmt: skip

SURNAMES = ("Ashdown", "Barlow", "Carver", "Dunmore", "Ellery", "Fenwick", "Garrick", "Holloway", "Inskip", "Jarrow", "Kingsley", "Lambton", "Marsh", "Norwell", "Oakes", "Penrose", "Quayle", "Rushton", "Selby", "Thorne", "Underhill", "Vance", "Whitlock", "Yarrow", "Brandt", "Lindqvist", "Moreau", "Castell", "Bianchi", "Nowak", "Janssen", "Keller", "Vermeer", "Ortega", "Rossi", "Dufour", "Weiss", "Berg", "Zielinski", "Harker")  # fmt: skip

# country -> (trade, legal form)
TRADES = {
    "GB": (("Gifts", "Ltd"), ("Homewares", "Ltd"), ("Garden Centres", "PLC"), ("Stores", "Ltd"), ("Trading", "LLP"), ("Interiors", "Ltd")),
    "IE": (("Gifts", "Ltd"), ("Stores", "DAC")),
    "DE": (("Handel", "GmbH"), ("Wohnen", "GmbH & Co. KG"), ("Geschenke", "KG")),
    "FR": (("Maison", "SARL"), ("Cadeaux", "SAS"), ("Jardins", "SA")),
    "NL": (("Wonen", "B.V."), ("Handel", "B.V.")),
    "BE": (("Interieur", "NV"), ("Cadeaux", "SRL")),
    "ES": (("Hogar", "S.L."), ("Regalos", "S.A.")),
    "IT": (("Casa", "S.r.l."), ("Regali", "S.p.A.")),
    "SE": (("Hem", "AB"), ("Trädgård", "AB")),
    "PL": (("Dom", "Sp. z o.o."), ("Ogród", "S.A.")),
    "US": (("Gifts", "Inc."), ("Home Goods", "LLC"), ("Garden Supply", "Corp.")),
    "CH": (("Wohnen", "AG"), ("Geschenke", "GmbH")),
}  # fmt: skip
