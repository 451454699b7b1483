"""The published marginals: shares, quantiles and spellings; and the rates of defects."""

from __future__ import annotations

from typing import Literal

from lakehouse_assets.sample.airline.draws import Knots

FLIGHT_COLUMNS = (
    "MEMBER_NO", "FFP_DATE", "FIRST_FLIGHT_DATE", "GENDER", "FFP_TIER", "WORK_CITY",
    "WORK_PROVINCE", "WORK_COUNTRY", "AGE", "LOAD_TIME", "FLIGHT_COUNT", "BP_SUM", "SUM_YR_1",
    "SUM_YR_2", "SEG_KM_SUM", "LAST_FLIGHT_DATE", "LAST_TO_END", "AVG_INTERVAL", "MAX_INTERVAL",
    "EXCHANGE_COUNT", "avg_discount", "Points_Sum", "Point_NotFlight",
)  # fmt: skip
TRANSACTION_COLUMNS = (
    "transaction_id", "customer_id", "customer_name", "email", "purchase_date", "amount",
    "status", "payment_method", "region",
)  # fmt: skip

IMPOSSIBLE_LAST_FLIGHT = "2014/2/29  0:00:00"
IMPOSSIBLE_PURCHASE_DATE = "2014-02-30"
NON_NUMERIC_MEMBER_NO = "M-UNKNOWN"
FIRST_UNKNOWN_CUSTOMER = 900_000_001
"""Customer ids from here on belong to no member, whatever the configured size."""

MAX_DAYS_SINCE_FLIGHT = 731
"""The source lists members with a flight in its two-year window."""

DEFECT_RATES = {
    "null_customers": 0.0035,
    "invalid_customers": 0.002,
    "unknown_customers": 0.002,
    "null_amounts": 0.0025,
    "invalid_amounts": 0.0025,
    "empty_dates": 0.002,
    "impossible_dates": 0.0015,
    "duplicate_records": 0.002,
    "redelivered": 0.002,
}
"""Share of transactions per defect: two per cent together, on disjoint transactions."""

LONGEST_INTERVAL = 728
MONTHLY_JOINERS = 0.004
DUPLICATE_ROWS = 0.0005
IMPOSSIBLE_LAST_FLIGHTS = 0.006

# The marginals below describe the snapshot of 2014-03-31. The default configuration starts three
# months earlier, so members open with a share of them and fly the rest: much if they are active,
# almost nothing otherwise.
OPENING_SHARE_ACTIVE = 0.84
OPENING_SHARE_OTHERS = 0.96

# Quantile knots (share of members, value). Minimum, quartiles and maximum are the spec's; the
# tail knots in between are chosen to match mean and standard deviation, too.
FLIGHTS: Knots = (
    (0, 2), (0.25, 3), (0.5, 7), (0.75, 15), (0.95, 38), (0.99, 65), (0.998, 100),
    (0.9999, 150), (1, 213),
)  # fmt: skip
KM: Knots = (
    (0, 368), (0.05, 1_500), (0.25, 4_747), (0.5, 9_994), (0.75, 21_271), (0.95, 54_000),
    (0.99, 98_000), (0.998, 155_000), (0.9999, 330_000), (1, 580_717),
)  # fmt: skip
BASE_POINTS: Knots = (
    (0, 0), (0.01, 250), (0.05, 800), (0.25, 2_518), (0.5, 5_700), (0.75, 12_831),
    (0.95, 36_000), (0.99, 75_000), (0.998, 135_000), (0.9999, 280_000), (1, 505_308),
)  # fmt: skip
POINTS: Knots = (
    (0, 0), (0.01, 300), (0.05, 900), (0.25, 2_775), (0.5, 6_328), (0.75, 14_302),
    (0.95, 41_000), (0.99, 90_000), (0.998, 165_000), (0.9999, 420_000), (1, 985_572),
)  # fmt: skip
REVENUE: Knots = (
    (0, 300), (0.05, 900), (0.25, 2_700), (0.5, 6_000), (0.75, 13_200), (0.95, 35_000),
    (0.99, 72_000), (0.998, 130_000), (0.9999, 270_000), (1, 473_748),
)  # fmt: skip
DAYS_SINCE: Knots = (
    (0, 1), (0.25, 29), (0.5, 108), (0.75, 268), (0.95, 580), (0.99, 690), (1, 731),
)  # fmt: skip
AVG_INTERVAL: Knots = (
    (0, 0), (0.01, 1), (0.05, 6), (0.25, 23.4), (0.5, 44.7), (0.75, 82), (0.95, 215),
    (0.99, 420), (1, 728),
)  # fmt: skip
AGE: Knots = (
    (0, 17), (0.01, 24), (0.05, 29), (0.25, 35), (0.5, 41), (0.75, 48), (0.95, 59),
    (0.99, 67), (1, 82),
)  # fmt: skip
DISCOUNT: Knots = (
    (0, 0.14), (0.02, 0.36), (0.25, 0.612), (0.5, 0.712), (0.75, 0.809), (0.95, 1.05),
    (0.99, 1.35), (1, 1.5),
)  # fmt: skip
EXCHANGES: Knots = ((0, 0), (0.84, 0), (0.9, 1), (0.96, 2), (0.99, 5), (0.9999, 20), (1, 46))
NON_FLIGHT: Knots = (
    (0, 0), (0.7, 0), (0.75, 1), (0.85, 4), (0.95, 16), (0.99, 38), (0.9999, 100), (1, 140),
)  # fmt: skip

# Latent kinds of customers: share, and means of the volume, recency and age scores. They make
# clusters possible; the marginals still follow the knots, because scores are only ranked. In
# order: premium, loyal, occasional, at risk, lapsed.
KINDS = (
    (0.05, 3.2, -1.7, 0.5),
    (0.20, 1.6, -1.2, 0.3),
    (0.27, -0.1, -0.5, -0.1),
    (0.20, -0.2, 0.6, 0.0),
    (0.28, -1.2, 1.7, -0.2),
)

# Weight, city, province, country. The first rows have the largest shares in the spec.
PLACES: tuple[tuple[float, str, str, str], ...] = (
    (0.1740, "guangzhou", "guangdong", "CN"), (0.1400, "beijing", "beijing", "CN"),
    (0.0880, "shanghai", "shanghai", "CN"), (0.0640, "shenzhen", "guangdong", "CN"),
    (0.0350, "dalian", "liaoning", "CN"), (0.0290, "shenyang", "liaoning", "CN"),
    (0.0290, "wulumuqi", "xinjiang", "CN"), (0.0250, "changchun", "jilin", "CN"),
    (0.0250, "wuhan", "hubei", "CN"), (0.0200, "haerbin", "heilongjiang", "CN"),
    (0.0180, "changsha", "hunan", "CN"), (0.0180, "zhengzhou", "henan", "CN"),
    (0.0150, "foshan", "guangdong", "CN"), (0.0140, "dongguan", "guangdong", "CN"),
    (0.0130, "zhuhai", "guangdong", "CN"), (0.0120, "nanjing", "jiangsu", "CN"),
    (0.0120, "hangzhou", "zhejiang", "CN"), (0.0110, "shamen", "fujian", "CN"),
    (0.0110, "guiyang", "guizhou", "CN"), (0.0110, "shantou", "guangdong", "CN"),
    (0.0110, "nanning", "guangxi", "CN"), (0.0100, "chengdu", "sichuan", "CN"),
    (0.0090, "zhongshan", "guangdong", "CN"), (0.0090, "haikou", "hainan", "CN"),
    (0.0080, "xian", "shanxi", "CN"), (0.0080, "qingdao", "shandong", "CN"),
    (0.0070, "zhanjiang", "guangdong", "CN"), (0.0070, "tianjin", "tianjin", "CN"),
    (0.0070, "zhongqing", "zhongqing", "CN"), (0.0060, "kunming", "yunnan", "CN"),
    (0.0060, "kuerle", "xinjiang", "CN"), (0.0060, "suzhou", "jiangsu", "CN"),
    (0.0050, "fuzhou", "fujian", "CN"), (0.0050, "guilin", "guangxi", "CN"),
    (0.0050, "jinan", "shandong", "CN"), (0.0050, "hefei", "anhui", "CN"),
    (0.0050, "wenzhou", "zhejiang", "CN"), (0.0050, "huizhou", "guangdong", "CN"),
    (0.0040, "jiangmen", "guangdong", "CN"), (0.0040, "anshan", "liaoning", "CN"),
    (0.0040, "kelamayi", "xinjiang", "CN"), (0.0040, "yining", "xinjiang", "CN"),
    (0.0040, "ningbo", "zhejiang", "CN"), (0.0040, "taiyuan", "shanxi", "CN"),
    (0.0040, "nanchang", "jiangxi", "CN"), (0.0040, "yanji", "jilin", "CN"),
    (0.0030, "lanzhou", "gansu", "CN"), (0.0030, "sanya", "hainan", "CN"),
    (0.0030, "daqing", "heilongjiang", "CN"), (0.0030, "liuzhou", "guangxi", "CN"),
    (0.0030, "shijiazhuang", "hebei", "CN"), (0.0020, "huhehaote", "neimenggu", "CN"),
    (0.0020, "yinchuan", "ningxia", "CN"), (0.0010, "lasa", "xizang", "CN"),
    (0.0157, "xianggang", "xianggang", "HK"), (0.0080, "tokyo", "tokyo", "JP"),
    (0.0059, "osaka", "osaka", "JP"), (0.0095, "seoul", "seoul", "KR"),
    (0.0030, "busan", "busan", "KR"), (0.0050, "Los Angeles", "CA", "US"),
    (0.0025, "San Francisco", "CA", "US"), (0.0016, "New York", "NY", "US"),
    (0.0055, "taibei", "taiwan", "TW"), (0.0040, "sydney", "NSW", "AU"),
    (0.0038, "paris", "paris", "FR"), (0.0035, "singapore", "singapore", "SG"),
    (0.0030, "kuala lumpur", "kuala lumpur", "MY"), (0.0025, "manila", "manila", "PH"),
    (0.0015, "jakarta", "jakarta", "ID"), (0.0015, "vancouver", "BC", "CA"),
    (0.0012, "amsterdam", "NH", "NL"), (0.0010, "frankfurt", "hessen", "DE"),
    (0.0010, "bangkok", "bangkok", "TH"), (0.0007, "aomen", "aomen", "MO"),
    (0.0006, "hanoi", "hanoi", "VN"), (0.0005, "london", "london", "GB"),
    (0.0003, "dubai", "dubai", "AE"), (0.0003, "zurich", "ZH", "CH"),
)  # fmt: skip
MUNICIPALITIES = frozenset({"beijing", "shanghai", "tianjin", "zhongqing"})
CITY_SUFFIX = 0.095
PROVINCE_SUFFIX = 0.06
# Placeholders for missing values and their shares (U+3000 is the ideographic space, which an
# ASCII-only trim does not remove).
CITY_GAPS: tuple[tuple[float, str | None], ...] = (
    (0.0360, None), (0.0120, "."), (0.0021, "-"), (0.0005, "\u3000"), (0.0002, "0"),
    (0.0001, "*"), (0.0001, "?"), (0.0001, "--"),
)  # fmt: skip
PROVINCE_GAPS: tuple[tuple[float, str | None], ...] = (
    (0.0516, None), (0.0140, "."), (0.0041, "-"), (0.0003, "\u3000"), (0.0004, "*"),
    (0.0002, "0"), (0.0002, "?"),
)  # fmt: skip
COUNTRY_GAPS: tuple[tuple[float, str | None], ...] = (
    (0.0004, None), (0.0004, "cn"), (0.0005, "中"), (0.0002, "中国"),
)  # fmt: skip

FIRST_NAMES = (
    "Anna", "Ben", "Carla", "David", "Elena", "Felix", "Grace", "Henry", "Iris", "Jonas", "Karin",
    "Leo", "Maria", "Nina", "Oscar", "Paula", "Quentin", "Rosa", "Simon", "Tanja", "Urs", "Vera",
    "Walter", "Xenia", "Yara", "Zeno", "Amir", "Bao", "Chen", "Dewei", "Fang", "Guo", "Hui",
    "Jing", "Kai", "Lan", "Mei", "Ning", "Ping", "Qiang",
)  # fmt: skip
LAST_NAMES = (
    "Smith", "Miller", "Keller", "Brunner", "Weber", "Fischer", "Novak", "Rossi", "Dubois",
    "Martin", "Garcia", "Lopez", "Silva", "Jensen", "Larsen", "Nowak", "Kovacs", "Popov",
    "Tanaka", "Sato", "Kim", "Park", "Lee", "Wang", "Li", "Zhang", "Liu", "Chen", "Yang", "Huang",
    "Zhao", "Wu", "Zhou", "Xu", "Sun", "Ma", "Zhu", "Hu", "Guo", "Lin",
)  # fmt: skip
MAIL_DOMAINS = ("example.com", "example.org", "example.net")  # reserved by RFC 2606

STATUSES: tuple[tuple[float, str], ...] = (
    (0.62, "completed"), (0.07, "COMPLETED"), (0.05, "Completed"), (0.02, " completed "),
    (0.07, "pending"), (0.03, "PENDING"), (0.05, "cancelled"), (0.03, "CANCELLED"),
    (0.04, "refunded"), (0.02, "Refunded"),
)  # fmt: skip
METHODS: tuple[tuple[float, str | None], ...] = (
    (0.24, "credit_card"), (0.09, "credit card"), (0.07, "Credit Card"), (0.04, "CREDIT_CARD"),
    (0.03, "Credit_Card"), (0.01, "Credit  Card"), (0.11, "debit_card"), (0.05, "Debit Card"),
    (0.03, "DEBIT CARD"), (0.12, "paypal"), (0.07, "PayPal"), (0.01, " PAYPAL "),
    (0.06, "wire_transfer"), (0.03, "wire transfer"), (0.01, "WIRE_TRANSFER"),
    (0.012, None), (0.010, "."), (0.008, ""),
)  # fmt: skip
REGIONS: tuple[tuple[float, str | None], ...] = (
    (0.18, "North"), (0.05, "NORTH"), (0.03, "north"), (0.17, "South"), (0.06, "SOUTH"),
    (0.18, "East"), (0.04, "EAST"), (0.03, "east"), (0.17, "West"), (0.04, "west"),
    (0.01, " West "), (0.02, "  North"), (0.015, None), (0.015, ""),
)  # fmt: skip
DATE_FORMATS: tuple[tuple[float, str], ...] = (
    (0.86, "%Y-%m-%d"), (0.08, "%m/%d/%Y"), (0.06, "%Y/%m/%d"),
)  # fmt: skip
PURCHASE_LAGS = (0.55, 0.25, 0.14, 0.06)
"""Probability that a purchase is delivered 0, 1, 2, 3 days after it happened."""

Suffix = Literal[".json", ".jsonl", ".jsonl.gz", ".csv"]
MIXED_ROTATION: tuple[Suffix, ...] = (
    ".json", ".json", ".jsonl", ".json", ".json", ".jsonl.gz", ".json", ".csv", ".json", ".json",
)  # fmt: skip
BOM_DELIVERY = 3  # position in the rotation of the one .json delivery with a byte order mark
