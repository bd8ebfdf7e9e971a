# A follower, from its connection to its first transactions: every promise leaves after the disk has it.
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:3
  nothing
> PROPOSAL 1:2
  append 1:2
> COMMIT 1:2
  committed 1:2
> PROPOSAL 1:3
  append 1:3
> COMMIT 1:3
  committed 1:3
> NEWLEADER 2:0
  nothing
> synced 1:2
  nothing
> synced 1:3
  save current epoch 2
> saved current 2
  send ACK 2:0
> PROPOSAL 2:1
  append 2:1
> synced 2:1
  nothing
> UPTODATE
  send ACK 2:0
  established 2
  send ACK 2:1
> PROPOSAL 2:2
  append 2:2
> PROPOSAL 2:3
  append 2:3
> COMMIT 2:1
  committed 2:1
> synced 2:3
  send ACK 2:3
> COMMIT 2:2
  committed 2:2
> PING 2:3 answers=0
  pass PING 2:3 answers=0
> pingreply
  send PING 2:3
