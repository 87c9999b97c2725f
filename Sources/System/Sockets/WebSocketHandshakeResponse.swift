extension WebSocketHandshake {
  /// The response to the opening handshake of a WebSocket, or the reason to refuse it.
  static func response(to request: HTTPRequest) throws(HTTPFailure) -> HTTPResponse {
    func has(_ field: StaticString, _ token: String) -> Bool {
      request.fields.all(field).contains { value in
        value.utf8.split(separator: UInt8(ascii: ",")).contains { element in
          // Setting this bit maps both cases of a letter, and no other byte, to the letter.
          element.lazy.filter { $0 != 0x20 && $0 != 0x09 }.elementsEqual(token.utf8) { $0 | 0x20 == $1 }
        }
      }
    }
    guard request.method == "GET", has("connection", "upgrade"), has("upgrade", "websocket") else {
      throw HTTPFailure(426, "a WebSocket handshake is required", fields: [("upgrade", "websocket")])
    }
    guard request.fields["sec-websocket-version"] == "13" else {
      throw HTTPFailure(426, "only version 13 is supported", fields: [("sec-websocket-version", "13")])
    }
    guard let key = request.fields["sec-websocket-key"], Base64.decode(key.utf8)?.count == 16 else {
      throw HTTPFailure(400, "Sec-WebSocket-Key: must be 16 bytes in base64")
    }
    return HTTPResponse(
      status: 101,
      fields: [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accept(key))])
  }
}
