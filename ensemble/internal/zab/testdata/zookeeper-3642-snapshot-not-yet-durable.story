# A snapshot was taken into memory, the connection broke before it was saved, and the zxid in memory was reported to the next leader,
# which sent only what came after it. Here nothing goes on before the snapshot is durable: what follows it waits, and if
# the connection breaks, the server is what its disk is (ZOOKEEPER-2872 too).
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> SNAP 1:9
  install 1:9
> PROPOSAL 1:10
  nothing
> COMMIT 1:10
  nothing
> NEWLEADER 2:0
  nothing
> synced 1:10
  nothing
> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 3:0
  save accepted epoch 3
> saved accepted 3
  send ACKEPOCH 1:1 epoch=1
# This time it lasts.
> SNAP 1:9
  install 1:9
> PROPOSAL 1:10
  nothing
> COMMIT 1:10
  nothing
> NEWLEADER 3:0
  nothing
> installed 1:9
  append 1:10
  committed 1:10
> synced 1:10
  save current epoch 3
> saved current 3
  send ACK 3:0
> UPTODATE
  send ACK 3:0
  established 3
