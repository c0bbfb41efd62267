"""Strings that break careless code, by what is wrong with them.

:data:`NAUGHTY_STRINGS` are what every backend has to keep as they are. :data:`UNSTORABLE_STRINGS` are refused
before they reach one: PostgreSQL has no NUL, and UTF-8 no lone surrogates.
"""

from collections.abc import Mapping

_ZALGO = "".join(chr(0x300 + 7 * number % 0x70) for number in range(200))

NAUGHTY_BY_KIND: Mapping[str, tuple[str, ...]] = {
    "empty": ("", " ", "\t\r\n", "\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}", "\x1c\x1d\x1e\x1f\x85"),
    "padded": (
        "  a b\t",
        "\n\na\n\n",
        "\N{EM SPACE}a\N{EM SPACE}",
        "\ufeffa\ufeff",
        "a\r\nb\rc\nd",
    ),
    "words of programs": (
        *("NULL", "null", "nil", "None", "undefined", "undef", "true", "False", "NaN", "Infinity"),
        *(
            "[object Object]",
            "constructor",
            "__proto__",
            "hasOwnProperty",
            "then",
            "__class__",
            "\\",
        ),
    ),
    "numbers": (
        *("0", "-1", "1.00", "$1.00", "1/2", "1E+02", "1e309", "-0.0", "0x10", "0b1", "1_000"),
        *("1,000.00", "1.000,00", "9" * 400, "٠١٢", "１２３", "Ⅻ", "²"),
    ),
    "punctuation": (
        ",./;'[]\\-=",
        '<>?:"{}|_+',
        "!@#$%^&*()`~",
        '"',
        "'",
        "\"'\"'\"''\"",
        "%_\\",
        "%00",
    ),
    "html": (
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "javascript:alert(1)",
        "<!--#exec cmd='ls' -->",
        "<![CDATA[x]]><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>&b;",
        "&lt;&#0;&#x110000;",
    ),
    "queries": ("'; DROP TABLE tasks; --", "1' OR '1'='1", '" OR 1=1 --', ":id $1 %s ? {0}", "/*"),
    "templates": (
        "%s%n%x%d",
        "%(asctime)s",
        "{0.__class__.__mro__}",
        "${7*7}",
        "{{7*7}}",
        "#{7*7}",
        "%p%*d",
    ),
    "shells and paths": (
        *("$(touch /tmp/x)", "`id`", "| cat", "&& id", "-rf", "--help", "@file", "~root"),
        *(
            "../../etc/passwd",
            "..\\..\\win.ini",
            "C:\\CON",
            "NUL",
            "/dev/null",
            "file:///etc/passwd",
        ),
    ),
    "protocols": (
        "x\r\nSet-Cookie: a=b",
        "\r\n\r\nHTTP/1.1 200 OK",
        "data: x\n\nevent: y",
        '{"key": "v"}',
        "{}",
        "=cmd|'/C calc'!A0",
        "\x1b[31mred\x1b[0m\x1b]0;title\x07",
        "${jndi:ldap://a.example/a}",
    ),
    "controls": (
        "".join(chr(code) for code in range(1, 0x20)),
        "\x7f" + "".join(chr(code) for code in range(0x80, 0xA0)),
        "a\x08b\x0bc\x0cd",
    ),
    "invisible": (
        "a\u00adb\u200bc\u200cd\u200de\u2060f\u180eg",
        "\u200b\u200e\u2060",
        "a\ufeffb",
        "\ufffea",
        "a\u2028b\u2029c",
        "\u115f\u3164\u2800",
        "\U000e0041\U000e0042 tags",
    ),
    "direction": (
        "\u202eabc\u202c",
        "\u2066\u2067\u2068\u2069 isolates",
        "מה שלומך abc 123 مرحبا",
        "مرحبا بالعالم",
        "بِسْمِ ٱللَّهِ",
        "﷽",
    ),
    "combining": (
        "e\u0301 \u00e9",
        "\u0301",
        f"Z{_ZALGO}a{_ZALGO}l{_ZALGO}g{_ZALGO}o",
        "ｶﾞ ガ",
        "한글 한글",
    ),
    "case": ("ﬁ İ ı ß ẞ ς Σ", "ǅ ŉ ᾳ", "ȺȾ" * 50, "K Å Ω"),
    "lookalikes": ("раураl", "Αdmіn", "𝒯𝑒𝓍𝓉", "Ｔｅｘｔ", "ʇxǝʇ", "ⓉⒺⓍⓉ"),
    "scripts": (
        *(
            "田中さんにあげて下さい",
            "사회과학원",
            "𠜎𠜱𠝹𠱓",
            "ไทยภาษา",
            "ქართული",
            "ᚠᛇᚻ",
            "ༀམ",
            "𓀀𓁐",
        ),
        "ጤና ይስጥልኝ नमस्ते 你好，世界。",
    ),
    "emoji": (*("👩‍👩‍👧‍👦 🏳️‍🌈", "👍🏿👍🏻", "🇩🇪🇯🇵", "1️⃣ ✌️ ❤︎", "😀" * 30, "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🫠"),),
    "unassigned": (
        "\u0378",
        "\U0003fffd",
        "\ue000\uf8ff",
        "\U000f0000\U0010fffd",
        "\ufdd0\ufffe\uffff",
    ),
    "the last ones": ("\U0010ffff", "\ufffd", "\ud7ff\ue000"),
    "long": ("long " * 20_000, "x" * 501, "😀" * 251, "\N{COMBINING ACUTE ACCENT}" * 2000),
}

NAUGHTY_STRINGS: tuple[str, ...] = tuple(
    string for strings in NAUGHTY_BY_KIND.values() for string in strings
)

UNSTORABLE_STRINGS = (
    "\0",
    "a\0b",
    "\ud800",
    "a\udfffb",
    "\udc80",
    "\udc00\ud800",
    "😀\ud83d",
)
