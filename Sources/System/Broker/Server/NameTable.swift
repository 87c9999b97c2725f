/// Values by names from clients. Names are compared by their bytes, as in RabbitMQ.
struct NameTable<Value> {
  private var values: [ExactText: Value] = [:]

  subscript(name: String) -> Value? {
    get { values[ExactText(name)] }
    set { values[ExactText(name)] = newValue }
  }

  /// The values in the order of the bytes of their names.
  var sorted: [Value] {
    values.sorted { $0.key.text.utf8.lexicographicallyPrecedes($1.key.text.utf8) }.map(\.value)
  }
}
