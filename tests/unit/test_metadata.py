"""Nothing that is not what its key must be gets from metadata into an Eni."""
from __future__ import absolute_import, print_function, unicode_literals

import pytest

from ec2net_legacy import metadata
from ec2net_legacy.errors import MetadataInvalid
from tests.unit.fakes import SECOND, eni_texts, ipv6_texts

HOSTILE = [
    "$(touch /tmp/x)", "`touch /tmp/x`", "; touch /tmp/x", "1;id", "1\n;id", "../../etc/passwd", "",
    " ", "\n\n", "\u0661\u0662", "1_0", "+1", "-1", "1.0", "1e3", "0x1", "<html>404</html>", "None",
    "%s", "\\n", "A" * 100000,
]
HOSTILE_IPV4 = HOSTILE + [
    "0.0.0.0/0", "0.0.0.0", "10.0.1.5/24", "10.0.1", "10.0.1.256", "10.0.1.10 ;id",
    "10.0.1.10\n$(id)", "10.0.1.10'", "::1", "2600:1f18:0:1::10", "127.0.0.1", "169.254.1.1",
    "224.0.0.1", "\u0661\u0660.0.1.10",
]
HOSTILE_IPV6 = HOSTILE + [
    "::/0", "::", "::1", "10.0.1.10", "fe80::1", "ff02::1", "2600:1f18:0:1::10%eth0",
    "2600:1f18:0:1::10%$(id)", "2600:1f18:0:1::%;id", "2600:1f18:0:1::g", "2600:1f18:0:1::10\n`id`",
]


def short(value):
    return repr(value[:30]).lstrip("u")


def refused(key, texts):
    """Assert that `texts` are refused because of `key`; return the error."""
    with pytest.raises(MetadataInvalid) as caught:
        metadata.parse_eni(SECOND, texts)
    assert caught.value.key == key
    message = "{0}".format(caught.value)
    assert key in message
    assert "\n" not in message
    assert len(message) < 400
    return caught.value


@pytest.mark.parametrize(
    "value", [one for one in HOSTILE if one != "12"] + ["1000", "1 2", "1\n2"], ids=short
)
@pytest.mark.parametrize("key", ["device-number", "network-card"])
def test_a_number_is_ascii_digits_only(key, value):
    assert refused(key, eni_texts(1, {key: value})).value == value


@pytest.mark.parametrize(
    "value", HOSTILE + ["eni-", "eni-0A", "eni-0g", "eni-0a eni-0b", "eni-0a\neni-0b"], ids=short
)
def test_an_interface_id_is_eni_and_hexadecimal_digits(value):
    assert refused("interface-id", eni_texts(1, {"interface-id": value})).value == value


@pytest.mark.parametrize("value", HOSTILE_IPV4 + ["10.0.2.10", "10.0.1.0/24"], ids=short)
def test_an_ipv4_address_is_one_address_inside_the_subnet(value):
    refused("local-ipv4s", eni_texts(1, {"local-ipv4s": value}))


@pytest.mark.parametrize("value", HOSTILE_IPV4, ids=short)
def test_an_ipv4_subnet_is_a_network_and_no_more(value):
    changes = {"subnet-ipv4-cidr-block": value}
    if value == "0.0.0.0":
        changes["local-ipv4s"] = "0.0.0.0"
    elif value == "2600:1f18:0:1::10":
        changes["local-ipv4s"] = value
    refused("subnet-ipv4-cidr-block", eni_texts(1, changes))


@pytest.mark.parametrize("value", ["10.0.0.0/7", "64.0.0.0/2", "10.0.1.0/24\n10.0.1.0/25"])
def test_an_ipv4_subnet_is_one_and_of_a_size_that_aws_makes(value):
    refused("subnet-ipv4-cidr-block", eni_texts(1, {"subnet-ipv4-cidr-block": value}))


@pytest.mark.parametrize(
    "value", HOSTILE_IPV4 + ["10.0.2.0/27", "10.0.0.0/16", "240.0.0.0/28"], ids=short
)
def test_an_ipv4_prefix_is_a_network_inside_the_subnet_or_as_small_as_aws_has_them(value):
    refused("ipv4-prefix", eni_texts(1, {"ipv4-prefix": value}))


@pytest.mark.parametrize(
    "value", HOSTILE_IPV6 + ["2600:1f18:0:2::10", "2600:1f18:0:1::/64"], ids=short
)
def test_an_ipv6_address_is_one_address_inside_a_subnet(value):
    refused("ipv6s", ipv6_texts(1, {"ipv6s": value}))


@pytest.mark.parametrize("value", HOSTILE_IPV6 + ["2600:1f18:0:1::10/64", "2600::/16"], ids=short)
def test_an_ipv6_subnet_is_a_network_and_no_more(value):
    refused("subnet-ipv6-cidr-blocks", ipv6_texts(1, {"subnet-ipv6-cidr-blocks": value}))


@pytest.mark.parametrize("value", HOSTILE_IPV6 + ["2600:1f18:0:2::/79", "8000::/80"], ids=short)
def test_an_ipv6_prefix_is_a_network_inside_a_subnet_or_as_small_as_aws_has_them(value):
    refused("ipv6-prefix", ipv6_texts(1, {"ipv6-prefix": value}))


def test_a_prefix_outside_the_subnet_is_used_and_told():
    texts = dict(ipv6_texts(1), **eni_texts(1))
    texts["ipv4-prefix"] = "10.0.1.64/28\n10.0.2.0/28"
    texts["ipv6-prefix"] = "2600:1f18:0:2::/80\n2600:1f18:0:1:1::/80"
    eni = metadata.parse_eni(SECOND, texts)
    assert eni.addresses == ("10.0.1.10",)
    assert eni.prefixes == ("10.0.1.64/28", "10.0.2.0/28")
    assert eni.prefixes6 == ("2600:1f18:0:2::/80", "2600:1f18:0:1:1::/80")
    assert metadata.prefixes_outside(eni) == [
        "metadata key ipv4-prefix has 10.0.2.0/28, which is not in the subnet 10.0.1.0/24;"
        " used all the same",
        "metadata key ipv6-prefix has 2600:1f18:0:2::/80, which is not in the subnet"
        " 2600:1f18:0:1::/64; used all the same",
    ]


@pytest.mark.parametrize("value", HOSTILE + ["02:00:00:00:00", "02-00-00-00-00-02"], ids=short)
def test_a_mac_address_is_six_pairs(value):
    with pytest.raises(MetadataInvalid) as caught:
        metadata.parse_mac("mac", value)
    assert caught.value.key == "mac"


def test_one_bad_line_among_the_mac_addresses_is_named():
    with pytest.raises(MetadataInvalid) as caught:
        metadata.parse_macs("network/interfaces/macs/", SECOND + "/\n$(id)/\n")
    assert "$(id)" in "{0}".format(caught.value)


@pytest.mark.parametrize(
    "text", ["02:00:00:AA:BB:CC", "02:00:00:aa:bb:cc/", " 02:00:00:Aa:bB:cc\n"]
)
def test_a_mac_address_is_in_lower_case_without_a_slash(text):
    assert metadata.parse_mac("mac", text) == "02:00:00:aa:bb:cc"


@pytest.mark.parametrize("text", ["", "\n"], ids=repr)
def test_an_empty_list_of_mac_addresses_is_empty(text):
    assert metadata.parse_macs("network/interfaces/macs/", text) == []


def test_the_listed_order_is_kept_and_nothing_is_there_twice():
    eni = metadata.parse_eni(
        SECOND,
        eni_texts(
            1,
            {
                "local-ipv4s": "10.0.1.30\n10.0.1.10\n10.0.1.30\n10.0.1.20\n",
                "ipv4-prefix": "10.0.1.64/28\n10.0.1.48/28\n10.0.1.64/28",
            },
        ),
    )
    assert eni.addresses == ("10.0.1.30", "10.0.1.10", "10.0.1.20")
    assert eni.prefixes == ("10.0.1.64/28", "10.0.1.48/28")


def test_ipv6_comes_out_as_the_kernel_prints_it():
    eni = metadata.parse_eni(
        SECOND,
        ipv6_texts(
            1,
            {
                "ipv6s": "2600:1F18:0:1:0:0:0:A\n2600:1f18:0:1::a",
                "subnet-ipv6-cidr-blocks": "2600:1f18:0000:0001:0:0:0:0/64\n2600:1f18:0:2::/64",
                "ipv6-prefix": "2600:1f18:0:1:ab:0:0:0/80",
            },
        ),
    )
    assert eni.ipv6_only
    assert eni.addresses6 == ("2600:1f18:0:1::a",)
    assert eni.subnets6 == ("2600:1f18:0:1::/64", "2600:1f18:0:2::/64")
    assert eni.prefixes6 == ("2600:1f18:0:1:ab::/80",)


@pytest.mark.parametrize("blocks", [None, "2600:1f18:0:1::/64"])
def test_an_eni_may_have_a_prefix_of_ipv6_and_no_address(blocks):
    texts = {"ipv6-prefix": "2600:1f18:0:1:5::/80", "subnet-ipv6-cidr-blocks": blocks}
    eni = metadata.parse_eni(SECOND, eni_texts(1, texts))
    assert (eni.addresses6, eni.prefixes6) == ((), ("2600:1f18:0:1:5::/80",))
    assert eni.subnets6 == ((blocks,) if blocks else ())
    assert metadata.prefixes_outside(eni) == []


def test_an_eni_has_what_its_keys_say():
    texts = eni_texts(3, {"network-card": "1", "interface-id": "eni-0a3\n"})
    eni = metadata.parse_eni(SECOND, texts)
    assert eni.mac == SECOND
    assert eni.interface_id == "eni-0a3"
    assert (eni.network_card, eni.device_number) == (1, 3)
    assert (eni.subnet, eni.addresses, eni.prefixes) == ("10.0.3.0/24", ("10.0.3.10",), ())
    assert not eni.ipv6_only


def test_without_a_network_card_it_is_on_card_zero():
    eni = metadata.parse_eni(SECOND, eni_texts())
    assert (eni.network_card, eni.card) == (None, 0)


@pytest.mark.parametrize("texts", [{}, {"network-card": "0"}, {"network-card": "2"}])
def test_what_lasts_of_an_eni_is_what_was_asked_for(texts):
    asked = eni_texts(3, texts)
    lasting = metadata.lasting_texts(metadata.parse_eni(SECOND, asked))
    assert lasting == {key: text for key, text in asked.items() if key != "local-ipv4s"}


ALL4 = "device-number interface-id local-ipv4s subnet-ipv4-cidr-block"
ALL6 = "device-number interface-id ipv6s subnet-ipv6-cidr-blocks"


@pytest.mark.parametrize(
    "listed, ipv6_accepted, expected",
    [
        ("", True, None),
        ("device-number interface-id", True, None),
        ("device-number local-ipv4s subnet-ipv4-cidr-block", True, None),
        ("interface-id local-ipv4s subnet-ipv4-cidr-block", True, None),
        ("device-number interface-id local-ipv4s", True, None),
        ("device-number interface-id subnet-ipv4-cidr-block", True, None),
        (ALL4, False, ALL4),
        (ALL4 + " owner-id vpc-id security-groups", False, ALL4),
        (ALL4 + " ipv4-prefix network-card", False, ALL4 + " ipv4-prefix network-card"),
        (ALL6, False, None),
        (ALL6, True, ALL6),
        (ALL6 + " ipv6-prefix network-card", True, ALL6 + " ipv6-prefix network-card"),
        # A prefix needs no address beside it.
        (ALL4 + " ipv6-prefix subnet-ipv6-cidr-blocks", False,
         ALL4 + " ipv6-prefix subnet-ipv6-cidr-blocks"),
        (ALL4 + " ipv6-prefix", False, ALL4 + " ipv6-prefix"),
        (ALL4 + " subnet-ipv6-cidr-blocks", False, ALL4),
        (ALL6 + " local-ipv4s", True, None),
        ("device-number interface-id ipv6-prefix subnet-ipv6-cidr-blocks", True, None),
        # Half of the IPv6 keys would take away all of it.
        (ALL4 + " ipv6s", True, None),
        (ALL6 + " subnet-ipv4-cidr-block", True, None),
        ("device-number interface-id ipv6s", True, None),
    ],
)
def test_only_listed_keys_are_read_and_only_of_a_complete_eni(listed, ipv6_accepted, expected):
    wanted = metadata.wanted_keys(frozenset(listed.split()), ipv6_accepted)
    assert (wanted and sorted(wanted)) == (expected and sorted(expected.split()))


def test_directories_in_a_listing_are_not_keys():
    assert metadata.listed_keys("device-number\nipv4-associations/\n local-ipv4s \n") >= {
        "device-number",
        "local-ipv4s",
    }
    assert "ipv4-associations/" not in metadata.listed_keys("ipv4-associations/")
    assert "ipv4-associations" not in metadata.listed_keys("ipv4-associations/")
