"""Bodies that only look like JSON, and some that are it after all: in the spirit of JSONTestSuite, by Nicolas
Seriot, whose three kinds these are. Every case is written for here.
"""

from collections.abc import Mapping

#: An object whose keys say nothing: what a lenient reader makes of it, the contract then refuses by field.
_EMPTY = "an object without a voice"
NOT_JSON = "no JSON"
FALSY = "falsy"
OBJECT = _EMPTY

_DEEP = 100_000

#: RFC 8259 takes it: an object, or another value, which has no keys.
ACCEPTED: Mapping[str, bytes] = {
    "empty object": b"{}",
    "white space around": b" \t\r\n{ } \t\r\n",
    "a mebibyte of white space": b" " * (1024 * 1024 - 2) + b"{}",
    "duplicate keys": b'{"a":1,"a":2}',
    "empty key": b'{"":0}',
    "escapes in a key": b'{"\\u0000\\"\\\\\\/\\b\\f\\n\\r\\t":0}',
    "a NUL, escaped": b'{"a":"\\u0000"}',
    "a pair of surrogates": b'{"a":"\\ud83d\\ude00"}',
    "upper and lower hex digits": b'{"a":"\\uAbCd\\uabcD"}',
    "utf-8 of every length": '{"é€😀":"é€😀\x7f\x80"}'.encode(),
    "noncharacters": '{"a":"\ufdd0\uffff\U0010ffff"}'.encode(),
    "line separators in a string": '{"a":"\u2028\u2029"}'.encode(),
    "numbers": b'{"a":[-0,0,-1,1e5,1E+5,1e-5,0.1,-0.0e0,123.456e7]}',
    "nested values": b'{"a":[[],{},[{}],null,true,false,"",[[[[[[]]]]]]]}',
    "array": b"[]",
    "array of one": b"[0]",
    "true": b"true",
    "a number": b"1",
    "a negative number": b"-1e-2",
    "a string": b'"null"',
    "a string of white space": b'" "',
    "many keys": b"{" + b",".join(b'"%d":%d' % (n, n) for n in range(20_000)) + b"}",
    "many values": b"[" + b"0," * 100_000 + b"0]",
    "nested as deep as anybody means it": b"[" * 100 + b"]" * 100,
}

#: RFC 8259 leaves it to the parser; so each says what ours does, always without a 5xx.
EITHER: Mapping[str, tuple[bytes, str]] = {
    "byte order mark": (b"\xef\xbb\xbf{}", OBJECT),
    "byte order mark alone": (b"\xef\xbb\xbf", NOT_JSON),
    "two byte order marks": (b"\xef\xbb\xbf\xef\xbb\xbf{}", NOT_JSON),
    "a lone high surrogate": (b'{"a":"\\ud800"}', OBJECT),
    "a lone low surrogate": (b'{"a":"\\udfff"}', OBJECT),
    "surrogates the wrong way round": (b'{"a":"\\ude00\\ud83d"}', OBJECT),
    "a lone surrogate as a key": (b'{"\\ud800":0}', OBJECT),
    "a huge integer": (b'{"a":' + b"9" * 100_000 + b"}", OBJECT),
    "a huge negative integer": (b"-" + b"9" * 100_000, OBJECT),
    "a huge exponent": (b'{"a":1e999999999,"b":-1e+999999999}', OBJECT),
    "a tiny number": (b"1e-999999999", FALSY),
    "a hundred thousand decimals": (b"0." + b"1" * 100_000, OBJECT),
    "deep arrays": (b"[" * _DEEP + b"]" * _DEEP, NOT_JSON),
    "deep objects": (b'{"a":' * _DEEP + b"0" + b"}" * _DEEP, NOT_JSON),
    "utf-16": ("{}".encode("utf-16"), NOT_JSON),
    "utf-16, big endian": ("{}".encode("utf-16-be"), NOT_JSON),
    "utf-32": ("{}".encode("utf-32"), NOT_JSON),
    "utf-7": (b"+AHsAfQ-", NOT_JSON),
    "latin-1": (b'{"a":"\xe9"}', NOT_JSON),
    "an overlong slash": (b'{"a":"\xc0\xaf"}', NOT_JSON),
    "an overlong NUL": (b'{"a":"\xc0\x80"}', NOT_JSON),
    "a surrogate in utf-8": (b'{"a":"\xed\xa0\x80"}', NOT_JSON),
    "beyond Unicode": (b'{"a":"\xf4\xbf\xbf\xbf"}', NOT_JSON),
    "cut inside a character": (b'{"a":"\xe2\x82"}', NOT_JSON),
    "a lone continuation byte": (b'{"a":"\x80"}', NOT_JSON),
}

#: JSON, and falsy (contract C6).
FALSY_VALUES = (b"null", b"false", b"0", b"-0", b"0.0", b"-0e9", b'""', b" null ", b"0e0")

_WHOLE = b'{"voice_id":"x","text":["\\u00e9",-1.5e3,{"a":null}],"b":true}'

#: RFC 8259 refuses it.
REFUSED: tuple[bytes, ...] = (
    *(_WHOLE[:end] for end in range(len(_WHOLE))),
    *(b" ", b"\n\n", b"\0", b"{}\0", b"\x0c{}", b"\x0b{}", "\xa0{}".encode(), "\u2060{}".encode()),
    *("\u2028{}".encode(), "\u3000{}".encode(), b"{}{}", b"{} x", b"{}]", b"{},", b"[]]", b"1 2"),
    *(b"{,}", b'{"a":1,}', b'{,"a":1}', b'{"a":1,,"b":2}', b'{"a" 1}', b'{"a"}', b'{"a":}', b"{:1}"),
    *(b"{1:1}", b"{a:1}", b"{null:1}", b'{"a":1:2}', b'{"a":1 "b":2}', b'{"a"=1}', b"{'a':1}", b"{[]:1}"),
    *(b"[1,]", b"[,1]", b"[1,,2]", b"[,]", b"[1 2]", b"[1", b"]", b"[}", b"{]", b'["a":1]', b"[1:2]"),
    *(b"// no\n{}", b"{}// no", b"/* no */{}", b'{"a":/*no*/1}', b"# no\n{}", b"<!-- -->{}", b"{}\n;"),
    *(b"01", b"-01", b"+1", b".5", b"-.5", b"5.", b"1.e1", b"1e", b"1e+", b"1ee1", b"1e1.5", b"0x1", b"0b1"),
    *(b"0o7", b"1_0", b"1,0", b"--1", b"-", b"1-1", b"1a", b"- 1", b"1 000", b"$1", b"1f", b"1n"),
    *(b"NaN", b"nan", b"-NaN", b"Infinity", b"-Infinity", b"inf", b"+Infinity", b'{"a":NaN}', b"[Infinity]"),
    *("１".encode(), "٣".encode(), "²".encode(), "-١".encode(), "1e٣".encode(), "0.٣".encode()),
    *(b"True", b"FALSE", b"Null", b"None", b"nul", b"nulll", b"undefined", b"tru e", b"yes", b"x", b"*"),
    *(b'"', b"''", b"'a'", b"`a`", b'"a', b'a"', b'"\\"', b'"a""b"', "“a”".encode(), b'"a"b', b'\\"a"'),
    *(b'"\\x41"', b'"\\a"', b'"\\\'"', b'"\\0"', b'"\\v"', b'"\\U0001F600"', b'"\\u{41}"', b'"\\\n"'),
    *(b'"\\u"', b'"\\u1"', b'"\\u12"', b'"\\u123"', b'"\\u123g"', b'"\\u 123"', b'"\\u+123"', b'"\\u-123"'),
    *(b'"\\u0x1"', '"\\u１２３４"'.encode(), b'"\\ud83d\\u"', b'"\\ud83d\\"', b'"\\ud83d\\ude0"'),
    *(b'"' + bytes([code]) + b'"' for code in range(0x20)),
    *(b'{"a\nb":1}', b'{"a":"\t"}', b'{"a":"\0"}'),
    *(b"[" * _DEEP, b'{"a":' * _DEEP, b"[" * _DEEP + b"}" * _DEEP, b'[{"":' * 50_000, b'"' + b"\\" * 99_999),
    *(b"<html></html>", b"a=b&c=d", b"--b\r\n", b"\x1f\x8b\x08", b"%PDF-", b"{{}}", b"(){}", b"{...}", b"${x}"),
    b" " * (1024 * 1024),
    b"[" + b"1," * 100_000 + b"]",
)
