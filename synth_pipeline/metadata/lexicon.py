"""The words that name columns and tables: abbreviations, translations, entities, and what a head noun stands for.

Tables only; how a name is split and which entry of these tables applies is the business of `names`. Nothing here comes
from one particular database: an entry belongs here when it means the same thing in most of them.
"""

from __future__ import annotations

ABBREVIATIONS: dict[str, str] = {
    "acct": "account", "acc": "account", "addr": "address", "adr": "address", "amt": "amount", "avg": "average", "bal": "balance",
    "bday": "birth date", "birthdate": "birth date", "birthday": "birth date", "cat": "category", "cd": "code", "cnt": "count", "co": "company",
    "cntry": "country", "ctry": "country", "cust": "customer", "dept": "department", "desc": "description", "descr": "description",
    "dob": "birth date", "dt": "date", "dttm": "datetime", "emp": "employee", "fname": "first name", "firstname": "first name",
    "forename": "first name", "givenname": "first name", "fullname": "full name", "gndr": "gender", "hi": "high", "img": "image",
    "inv": "invoice", "lang": "language", "lat": "latitude", "lname": "last name", "lastname": "last name", "lng": "longitude",
    "lon": "longitude", "long": "longitude", "lo": "low", "lvl": "level", "max": "maximum", "mgr": "manager", "min": "minimum",
    "minit": "middle initial", "mi": "middle initial", "mname": "middle name", "mob": "mobile", "msg": "message", "nbr": "number",
    "nm": "name", "no": "number", "nr": "number", "num": "number", "nums": "number", "nbrs": "number", "org": "organization",
    "organisation": "organization",
    "pct": "percent", "perc": "percent", "pcode": "postal code", "ph": "phone", "phno": "phone number", "pic": "picture", "pct1": "percent",
    "postalcode": "postal code", "postcode": "postal code", "prod": "product", "prov": "province", "pwd": "password", "passwd": "password",
    "qty": "quantity", "ref": "reference", "sal": "salary", "seq": "sequence", "ssn": "ssn", "stat": "status", "st": "state", "str": "street",
    "surname": "last name", "tel": "phone", "telephone": "phone", "telno": "phone number", "tm": "time", "ts": "timestamp", "tot": "total",
    "txt": "text", "typ": "type", "tz": "timezone", "uid": "user id", "uname": "user name", "username": "user name", "usr": "user",
    "val": "value", "yr": "year", "ytd": "year to date", "zip": "zip", "zipcode": "zip", "lang1": "language", "descrip": "description",
    "curr": "currency", "ccy": "currency", "ean": "ean", "isbn": "isbn", "idx": "index", "grp": "group", "loc": "location", "trx": "transaction",
    "txn": "transaction", "trans": "transaction", "pos": "position", "rep": "representative", "spec": "specification", "std": "standard",
    "cc": "credit card", "ip": "ip", "url": "url", "www": "url", "website": "url", "homepage": "url", "hp": "url", "dlr": "dealer",
    "md": "modified", "upd": "updated", "crt": "created", "lst": "last", "fst": "first", "exp": "expiry",
}  # fmt: skip

TRANSLATIONS: dict[str, str] = {
    # German
    "vorname": "first name", "nachname": "last name", "familienname": "last name", "strasse": "street", "hausnummer": "building number",
    "plz": "postal code",
    "postleitzahl": "postal code", "ort": "city", "stadt": "city", "land": "country", "telefon": "phone", "handy": "mobile",
    "geburtsdatum": "birth date",
    "datum": "date", "betrag": "amount", "menge": "quantity", "preis": "price", "kunde": "customer", "kunden": "customer", "firma": "company",
    "beschreibung": "description", "bemerkung": "notes", "anrede": "courtesy", "geschlecht": "gender", "mitarbeiter": "employee",
    "nummer": "number",
    "kennwort": "password", "passwort": "password", "bundesland": "province", "staat": "country", "kontonummer": "account number",
    # French
    "nom": "last name", "prenom": "first name", "rue": "street", "adresse": "address", "ville": "city", "pays": "country", "telephone": "phone",
    "courriel": "email", "naissance": "birth", "montant": "amount", "prix": "price", "quantite": "quantity", "entreprise": "company",
    "client": "customer",
    "commentaire": "comment", "motdepasse": "password", "numero": "number",
    # Spanish, Portuguese, Italian, Dutch
    "nombre": "name", "apellido": "last name", "apellidos": "last name", "calle": "street", "direccion": "address", "ciudad": "city",
    "pais": "country",
    "telefono": "phone", "movil": "mobile", "correo": "email", "electronico": "electronic", "fecha": "date", "nacimiento": "birth",
    "precio": "price",
    "cantidad": "quantity", "cliente": "customer", "empresa": "company", "contrasena": "password", "provincia": "province", "nome": "name",
    "sobrenome": "last name", "endereco": "address", "cidade": "city", "telefone": "phone", "celular": "mobile", "senha": "password",
    "rua": "street",
    "cognome": "last name", "indirizzo": "address", "citta": "city", "paese": "country", "cap": "cap", "voornaam": "first name",
    "achternaam": "last name",
    "straat": "street", "woonplaats": "city", "geboortedatum": "birth date", "bedrag": "amount", "prijs": "price", "aantal": "quantity",
    "klant": "customer",
}  # fmt: skip

PERSONS = frozenset(
    "person people human individual customer client employee staff worker user member patient student pupil teacher instructor professor author "
    "writer actor actress artist player athlete driver doctor physician nurse contact guest passenger subscriber owner tenant applicant candidate "
    "attendee participant donor beneficiary agent seller buyer borrower lender manager supervisor director composer singer musician officer "
    "citizen "
    "resident voter visitor lead prospect friend child parent dependent relative spouse crew personnel technician operator representative holder "
    "recipient sender consumer insured claimant beneficiary cardholder boss chef judge lawyer attorney cashier clerk waiter waitress "
    "salesperson salesman receptionist secretary assistant captain surgeon therapist dentist counselor coach trainer tutor mentor inspector "
    "auditor accountant adviser advisor engineer reviewer reporter assignee approver requester landlord guardian shopper rider".split()
)
ORGANISATIONS = frozenset(
    "company organization supplier vendor store shop publisher shipper carrier manufacturer brand bank school university college hospital clinic "
    "employer business firm partner dealer distributor retailer merchant airline agency institution team club hotel restaurant office branch "
    "warehouse franchise sponsor insurer provider subsidiary corporation operator studio label".split()
)
PLACES = {
    "city": "city", "town": "city", "municipality": "city", "country": "country", "nation": "country", "state": "administrative_unit",
    "province": "administrative_unit", "language": "language_name", "currency": "currency_name", "job": "job", "occupation": "job",
    "profession": "job",
}  # fmt: skip
"""What a bare `name` is, by the noun of its table or the word before it."""

ROLE_PARENTS = frozenset(
    "manager supervisor boss agent representative owner head lead leader director chief mentor officer assistant approver reviewer".split()
)
"""Roles that a row of a person table fills: `manager_id` points at employees where there is no table of managers."""

SATELLITES = frozenset("info information detail text profile extension extra data demo meta metadata attribute history log audit archive "
    "translation setting note item "
                       "line summary stat statistic map mapping link xref backup copy tmp temp staging".split())  # fmt: skip
"""Table words that mark a table as hanging on another: `pub_info` does not own `pub_id`, publishers do."""

KEY_HEADS = frozenset("id ids key code number uuid guid oid pk fk reference identifier sku serial ident rowid objectid accession".split())
FLAG_HEADS = frozenset("flag enabled active deleted verified confirmed discontinued visible locked archived approved cancelled canceled paid "
                       "published required optional default hidden available blocked subscribed completed finished closed".split())  # fmt: skip
FLAG_PREFIXES = frozenset("is has can was should allow allows use uses did does needs enable".split())
CATEGORY_HEADS = frozenset("type status kind category class flag group mode method state stage phase gender sex color colour size unit segment "
    "tier source channel reason "
                           "format level role scope protocol action direction severity outcome result terms genre biotype "
                           "strand".split())  # fmt: skip
ORDINAL_HEADS = frozenset("rank rating stars grade level priority severity tier ranking ord order ordinal score stage step position sequence".split())
MEASURE_HEADS = frozenset(
    "amount price cost total subtotal sum quantity count balance salary wage income revenue profit fee rate percent ratio weight height width "
    "depth "
    "length size age duration distance speed temperature volume area average mean minimum maximum tax discount margin value budget freight royalty "
    "score points stock units hours minutes seconds days milliseconds bytes commission bonus tip credit debit low high range start end capacity "
    "rating "
    "year month day hour minute second altitude elevation sales advance index deposit payment".split()
)
TIME_HEADS = frozenset("date time datetime timestamp at on created updated modified day moment deadline since until expires expiry epoch unix "
    "when birth "
                       "expiration login seen ymd dttm".split())  # fmt: skip
TEXT_HEADS = frozenset("description notes note comment comments text remark remarks bio biography message body content summary abstract review "
    "feedback "
                       "memo instruction instructions details detail story caption about history info information title label subject headline "
                       "license terms reply answer question".split())  # fmt: skip
PERSON_TEXT = frozenset("note notes bio biography comment comments remark remarks about history diagnosis memo".split())
PICTURES = frozenset("photo picture image avatar portrait headshot selfie signature fingerprint face biometric scan thumbnail".split())
SCALES = (
    "very low,low,medium,normal,moderate,high,very high,critical,urgent,extreme", "xxs,xs,s,m,l,xl,xxl,xxxl", "small,medium,large,extra large",
    "bad,poor,fair,average,good,very good,excellent,outstanding", "minor,moderate,major,critical,blocker", "bronze,silver,gold,platinum,diamond",
    "never,rarely,sometimes,often,usually,always", "trace,debug,info,warning,warn,error,fatal",
    "strongly disagree,disagree,neutral,agree,strongly agree",
    "beginner,elementary,intermediate,advanced,expert", "junior,mid,middle,senior,lead,principal", "g,pg,pg-13,r,nc-17",
)  # fmt: skip
"""Wordings of ordered categories, lowest first."""

Meaning = tuple[str, float]
"""An sdtype and how strongly the name speaks for it, in log-odds."""

_STRONG, _FAIR, _WEAK = 6.0, 4.5, 3.0
ENTITY_NAME = "@name"
"""A name whose kind depends on whom or what it names; resolved by the word before it, or by the table."""
TITLE = "@title"
"""A job title, a form of address or the title of a work; resolved by the table."""


def _table(*entries: tuple[str, str, float]) -> dict[tuple[str, ...], list[Meaning]]:
    found: dict[tuple[str, ...], list[Meaning]] = {}
    for sdtype, phrases, weight in entries:
        for phrase in phrases.split(","):
            found.setdefault(tuple(phrase.split()), []).append((sdtype, weight))
    return found


PHRASES = _table(
    ("first_name", "first name,given name,fore name,christian name,middle name,maiden first name,nick name,preferred name", _STRONG),
    ("first_name", "first", _FAIR),
    ("last_name", "last", _FAIR),
    ("last_name", "last name,family name,sur name,second name,maiden name", _STRONG),
    ("name", "full name,person name,display name,legal name,contact name,real name,signatory,maiden,contact person,card holder,cardholder", _STRONG),
    (ENTITY_NAME, "name,names", _FAIR),
    (TITLE, "title", _WEAK),
    ("categorical", "middle initial,initial,initials,salutation,gender,sex,marital status,blood type,nationality,religion,ethnicity,race", _FAIR),
    ("prefix", "title of courtesy,courtesy title,courtesy,name prefix,honorific", _STRONG),
    ("suffix", "name suffix", _STRONG),
    ("user_name", "user name,login,login name,user login,screen name,handle,nick,account name,user handle", _STRONG),
    ("user_name", "created by,updated by,modified by,last modified by,deleted by,entered by,changed by,approved by", _WEAK),
    ("password", "password,password hash,hashed password,password digest,passphrase,pin,pin code,secret,api key,access token,auth token,password "
    "salt,"
                 "secret key,private key,refresh token,encrypted password", _STRONG),
    ("email", "email,mail,e mail,email address,mail address,e mail address,electronic mail,email electronic", _STRONG),
    ("phone_number", "phone,mobile,cell,cell phone,mobile phone,fax,phone number,mobile number,fax number,cell number,contact number,whatsapp,"
                     "landline,phone home,phone work,msisdn,pager,home phone,work phone,hotline", _STRONG),
    ("street_address", "address,street,street address,address line,street line,street name,mailing address,home address,postal address,residence,"
                       "billing address,shipping address,delivery address", _STRONG),
    ("address", "full address,complete address,formatted address", _STRONG),
    ("secondary_address", "address second,address line second,apartment,suite,flat number,unit number,address third,street second", _STRONG),
    ("building_number", "building number,house number,street number", _STRONG),
    ("city", "city,town,municipality,city name,village,birth place,place of birth,suburb,locality", _STRONG),
    ("administrative_unit", "province,county,state province,state name,province name,prefecture,canton", _STRONG),
    ("administrative_unit", "state", 5.0),
    ("administrative_unit", "district,region,governorate", _FAIR),
    ("state_abbr", "state abbreviation,state abbr,state code,province code,state short", _STRONG),
    ("country", "country,country name,nation", _STRONG),
    ("country_code", "country code,country iso,iso country,country iso code,iso code country,nationality code,iso alpha", _STRONG),
    ("postcode", "zip,postal code,zip code,post code,postal,post,cap,eircode,pin code postal", _STRONG),
    ("latitude", "latitude,geo latitude", _STRONG),
    ("longitude", "longitude,geo longitude", _STRONG),
    ("company", "merchant,retailer,insurer,company,employer,organization,business name,company name,firm,manufacturer,vendor,supplier,publisher,"
    "brand,corporation,"
    "institution", _FAIR),
    ("job", "job title,job,occupation,profession,position title,contact title,job description,designation,job name,job position", _STRONG),
    ("ssn", "ssn,social security number,social security,national id,national insurance number,nino,nif,dni,nie,cpf,cnp,pesel,tax id,tin,tax number,"
            "personal number,personal id,sin,bsn,aadhaar,national number,taxpayer id,curp,codice fiscale,steuer id,fiscal code", _STRONG),
    ("passport_number", "passport,passport number,passport id", _STRONG),
    ("license_plate", "license plate,plate number,number plate,registration plate,licence plate,plate,vehicle registration", _STRONG),
    ("vin", "vin,vehicle identification number,chassis number,vin number,vin code", _STRONG),
    ("iban", "iban,iban number,iban code", _STRONG),
    ("bban", "bank account,account number,bank account number,routing number", _FAIR),
    ("swift", "bic,swift,swift code,bic code", _STRONG),
    ("credit_card_number", "credit card,credit card number,card number,pan,cc number,debit card number", _STRONG),
    ("credit_card_security_code", "cvv,cvc,cvv2,security code,card verification", _STRONG),
    ("credit_card_expire", "card expiry,card expiration,credit card expiry,credit card expiration,card expire", _STRONG),
    ("credit_card_provider", "card type,card brand,credit card type", _WEAK),
    ("ipv4_address", "ip,ip address,ipv 4,client ip,remote address,remote ip,ip addr,host ip,ipv 4 address,source ip,last ip", _STRONG),
    ("ipv6_address", "ipv 6,ipv 6 address", _STRONG),
    ("mac_address", "mac,mac address,hardware address,ethernet address", _STRONG),
    ("user_agent_string", "user agent,browser agent", _STRONG),
    ("url", "url,link,uri,web site,site url,home page,web page,web address,page url,href,web url,photo path,image path,picture path,"
            "photo url,image url,avatar url,permalink,webhook", _STRONG),
    ("file_name", "file name,filename,attachment name", _STRONG),
    ("file_path", "file path,path,directory,folder", _FAIR),
    ("hostname", "host,host name,server name", _FAIR),
    ("domain_name", "domain,domain name", _FAIR),
    ("mime_type", "mime type,content type,media type", _FAIR),
    ("language_name", "language name", _FAIR),
    ("language_code", "language,language code,locale,lang code", _FAIR),
    ("currency_code", "currency,currency code,currency iso", _STRONG),
    ("timezone", "timezone,time zone,zone name", _FAIR),
    ("isbn13", "isbn,isbn 13", _STRONG),
    ("ean13", "ean,ean 13,barcode,gtin,upc", _STRONG),
    ("color", "hex color,color hex,html color", _FAIR),
    ("datetime", "birth date,date of birth,birth,born,created at,updated at,modified at,deleted at,last update,last login,valid from,valid to,"
                 "expiration date,date time,last modified,start date,end date,last seen", _STRONG),
    ("sha256", "hash,checksum,digest,fingerprint,email hash,md 5,sha 1,sha 256,etag,signature hash,file hash", _WEAK),
    ("unknown", "json,xml,payload,raw json,metadata json,blob", _WEAK),
)  # fmt: skip

NEGATIVE_HEADS = frozenset(
    "count flag type status hash version id enabled verified confirmed length format template prefix suffix valid validated optin consent "
    "preference "
    "code score rank visible required method source index category class".split()
)
"""Heads that turn whatever stands before them into something else: `email_count` holds no email."""
