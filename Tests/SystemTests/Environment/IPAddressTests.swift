@testable import Environment
import Testing

@testable import System

@Suite("IP addresses")
struct IPAddressTests {
  @Test(
    "each address has one canonical text",
    arguments: [
      ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
      ("::ffff:1.2.3.4", "1.2.3.4"), ("::FFFF:102:304", "1.2.3.4"), ("0:0:0:0:0:ffff:1.2.3.4", "1.2.3.4"),
      ("::1", "::1"),
      ("::", "::"), ("1::", "1::"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("2001:db8::0:1", "2001:db8::1"),
      ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
      ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
      ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
    ])
  func reads(text: String, canonical: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == canonical)
    #expect(IPAddress(canonical) == address)
  }

  @Test(
    "invalid addresses are refused",
    arguments: [
      "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1.2.3.-4", "1.2.3.+4", "1.2.3.4 ",
      " 1.2.3.4",
      "1..3.4", "0x7f.0.0.1", "127.1", "2130706433", ":", ":::", "::1::", "1::2::3", "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7:8::", "12345::", "g::", "+1::", "-1::", "::1%eth0", "[::1]", "::1.2.3", "1.2.3.4::", "::1.2.3.4:5",
      "1:2:3:4:5:6:7:1.2.3.4", "localhost", "127.evil.example", "١.٢.٣.٤", String(repeating: "1:", count: 40),
      String(repeating: "0", count: 1000),
    ])
  func refuses(text: String) { #expect(IPAddress(text) == nil) }

  @Test(
    "a network contains the addresses with its prefix",
    arguments: [
      ("10.0.0.0/8", "10.255.1.2", true), ("10.0.0.0/8", "11.0.0.0", false), ("10.0.0.7", "10.0.0.7", true),
      ("10.0.0.7", "10.0.0.8", false), ("10.0.0.7/31", "10.0.0.6", true), ("0.0.0.0/0", "8.8.8.8", true),
      ("0.0.0.0/0", "::1", false), ("::/0", "8.8.8.8", true), ("::/0", "2001:db8::1", true),
      ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("::ffff:10.0.0.0/104", "10.1.2.3", true),
      ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::", false),
      ("2001:db8::/64", "2001:db8:0:0:1::", true), ("2001:db8::/65", "2001:db8::8000:0:0:0", false),
      ("2001:db8::1/128", "2001:db8::1", true), ("2001:db8::1/128", "2001:db8::2", false),
    ])
  func contains(network: String, address: String, isInside: Bool) throws {
    #expect(try #require(IPNetwork(network)).contains(try #require(IPAddress(address))) == isInside)
  }

  @Test(
    "invalid networks are refused",
    arguments: ["", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8", "::/129", "host/8"])
  func refusesNetwork(text: String) { #expect(IPNetwork(text) == nil) }

  @Test(
    "loopback hosts",
    arguments: [
      ("127.0.0.1", true), ("127.255.0.9", true), ("::1", true), ("localhost", true), ("LocalHost", true),
      ("::ffff:127.0.0.1", true), ("0:0:0:0:0:0:0:1", true), ("127.evil.example", false),
      ("localhost.evil.example", false),
      ("::", false), ("0.0.0.0", false), ("128.0.0.1", false), ("::2", false), ("", false), ("users", false),
    ])
  func loopback(host: String, expected: Bool) {
    #expect(SocketAddress(host: host, port: 1).isLoopback == expected)
  }
}
