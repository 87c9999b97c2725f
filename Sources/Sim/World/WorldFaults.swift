/// The faults of the network.
extension World {
  /// The conditions on the network between nodes.
  public var link: LinkSetting {
    get { fabric.link }
    set { fabric.link = newValue }
  }

  /// Holds back what nodes of `from` send to nodes of `to`, until it is healed. Returns the number of the partition.
  public func partition(from: Set<String>, to: Set<String>) -> Int { fabric.partition(from: from, to: to) }

  /// Ends a partition: what it held back arrives.
  public func heal(_ partition: Int) { fabric.heal(partition) }

  /// Ends all partitions.
  public func healAll() { fabric.healAll() }

  /// Resets all connections of a node. Returns their number.
  public func resetConnections(of node: String) -> Int { fabric.breakConnections(of: node) }

  /// Segments that waited for a retransmission: their ends, and when.
  package var stalls: [(from: String, to: String, time: ClosedRange<Int64>)] { fabric.stalls }

  /// Virtual times at which a fault struck that excuses a 503, in order.
  package var troubles: [Int64] { findings.troubles }

  /// Notes that such a fault strikes now.
  package func noteTrouble() { findings.noteTrouble(at: scheduler.now) }
}

/// The faults of a machine.
extension SimNode {
  /// What is wrong with the disk.
  public var diskFaults: DiskFaults {
    get { disk.faults }
    set { disk.faults = newValue }
  }

  /// Bytes in use on the disk.
  public var diskUse: Int { disk.used }

  /// Ends the faults of the disk, a crash that is armed included.
  public func mendDisk() {
    disk.faults.mend()
    disk.disarmCrash()
  }

  /// Calls `action` whenever a fault of the disk strikes.
  package func onDiskTrouble(_ action: @escaping () -> Void) { disk.onTrouble = action }
}
