/// The faults of the network.
extension World {
  /// The conditions on the network between nodes.
  public var link: LinkSetting {
    get { fabric.link }
    set { fabric.link = newValue }
  }

  /// Holds back segments from nodes of `from` to nodes of `to`. Returns the number of the
  /// partition, for `heal`.
  public func partition(from: Set<String>, to: Set<String>) -> Int { fabric.partition(from: from, to: to) }

  /// Ends a partition. The segments that it held back arrive.
  public func heal(_ partition: Int) { fabric.heal(partition) }

  /// Ends all partitions.
  public func healAll() { fabric.healAll() }

  /// Resets all connections of a node. Returns their number.
  public func resetConnections(of node: String) -> Int { fabric.breakConnections(of: node) }

  /// The segments that were retransmitted: their ends, and the time of the delay.
  package var stalls: [(from: String, to: String, time: ClosedRange<Int64>)] { fabric.stalls }

  /// The virtual times at which a fault struck that excuses a 503, in order.
  package var troubles: [Int64] { findings.troubles }

  /// Records that such a fault strikes now.
  package func noteTrouble() { findings.noteTrouble(at: scheduler.now) }
}

/// The faults of a machine.
extension SimNode {
  /// The faults of the disk.
  public var diskFaults: DiskFaults {
    get { disk.faults }
    set { disk.faults = newValue }
  }

  /// The bytes in use on the disk.
  public var diskUse: Int { disk.used }

  /// Ends the faults of the disk, including an armed crash.
  public func mendDisk() {
    disk.faults.mend()
    disk.disarmCrash()
  }

  /// Calls `action` when a fault of the disk strikes.
  package func onDiskTrouble(_ action: @escaping () -> Void) { disk.onTrouble = action }
}
