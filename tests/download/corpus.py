"""URLs that a broken or misled vendor could send us to. None may cost a single connection."""

#: To be refused on sight by a downloader that allows ``media.example.com`` and ``*.aliyuncs.com``.
URLS = (
    # loopback and private, plainly
    "https://127.0.0.1/", "https://127.0.0.1:443/", "https://localhost/", "https://localhost./",
    "https://LOCALHOST/", "https://localhost.localdomain/", "https://10.0.0.1/", "https://192.168.1.1/",
    "https://172.16.0.1/", "https://0.0.0.0/", "https://0/", "https://255.255.255.255/",
    # other spellings of IPv4 addresses
    "https://2130706433/", "https://0x7f000001/", "https://017700000001/", "https://127.1/",
    "https://127.0.1/", "https://0x7f.1/", "https://0177.0.0.1/", "https://0x7f.0x0.0x0.0x1/",
    "https://127.0.0.1./", "https://00000177.0.0.1/", "https://4294967297/", "https://①②⑦.⓪.⓪.①/",
    "https://１２７.０.０.１/", "https://127。0。0。1/", "https://127%2e0%2e0%2e1/",
    # IPv6 in its coats
    "https://[::1]/", "https://[::]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/", "https://[64:ff9b::127.0.0.1]/",
    "https://[2002:7f00:1::]/", "https://[2001::1]/", "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/", "https://[fd00:ec2::254]/", "https://[fec0::1]/", "https://[v1.a]/",
    # metadata services
    "https://169.254.169.254/latest/meta-data/", "https://169.254.170.2/v2/credentials",
    "https://100.100.100.200/latest/meta-data/", "https://metadata.google.internal/",
    "https://instance-data/", "http://169.254.169.254/", "http://100.100.100.200/",
    # user names, backslashes, fragments: hosts that two parsers may disagree about
    "https://media.example.com@127.0.0.1/", "https://user:password@media.example.com/",
    "https://@media.example.com/", "https://media.example.com:443@127.0.0.1/",
    "https://127.0.0.1\\@media.example.com/", "https://media.example.com\\@127.0.0.1/",
    "https://127.0.0.1#@media.example.com/", "https://127.0.0.1?@media.example.com/",
    "https://127.0.0.1\\.aliyuncs.com/", "https:\\\\media.example.com/", "https://127.0.0.1%23.aliyuncs.com/",
    "https://127.0.0.1%2f.aliyuncs.com/", "https://media.example.com%00.evil.test/",
    # spaces and control characters
    " https://media.example.com/", "https://media.example.com/ ", "https://media.example.com\t/",
    "https://media.example\t.com/", "https://media.example.com/\r\nX-Evil:1", "https://127.0.0.1\n/",
    "https://media.example.com/\x00", "\thttps://media.example.com/", "https:// media.example.com/",
    "https://media\u200b.example.com/", "https://media.example.com/é", "https://ｍedia.example.com/",
    # ports
    "https://media.example.com:22/", "https://media.example.com:6379/", "https://media.example.com:0/",
    "https://media.example.com:65536/", "https://media.example.com:-1/", "https://media.example.com:/",
    "https://media.example.com:80/", "http://media.example.com:443/", "http://media.example.com:22/",
    "https://media.example.com:443443/", "https://media.example.com:4４3/",
    # other schemes, no scheme, no host
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "data:audio/wav;base64,UklGRg==",
    "unix:/var/run/docker.sock", "ftp://media.example.com/", "javascript:alert(1)", "ws://media.example.com/",
    "jar:https://media.example.com!/", "https+unix://media.example.com/", "https:media.example.com",
    "https:/media.example.com/", "https:///media.example.com/", "https://", "https:", "http://", "://a",
    "https://?a", "https://#a", "https://:443/",
    # hosts that only look like ours
    "https://aliyuncs.com/", "https://evil-aliyuncs.com/", "https://aliyuncs.com.evil.test/",
    "https://media.example.com.evil.test/", "https://media.example.com./", "https://xmedia.example.com/",
    "https://sub.media.example.com/", "https://media.example.comm/", "https://*.aliyuncs.com/",
    "https://a..aliyuncs.com/", "https://.aliyuncs.com/", "https://-a.aliyuncs.com/",
    f"https://{'a' * 2048}.aliyuncs.com/", f"https://{'a.' * 1024}aliyuncs.com/",
    "https://media_example.com/", "https://xn--127-0-0-1/", "https://[::1].aliyuncs.com/",
)  # fmt: skip
