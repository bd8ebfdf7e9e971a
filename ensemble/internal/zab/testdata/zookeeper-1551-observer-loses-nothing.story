# What reaches an observer between the snapshot and UPTODATE is logged and committed like everything else (ZOOKEEPER-1551, -1552).
> learner 4 of=1,2,3 observer accepted=1 current=1 last=1:1
  nothing
> connected
  send OBSERVERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> SNAP 1:5
  install 1:5
> installed 1:5
  nothing
> PROPOSAL 1:5
  nothing
> COMMIT 1:5
  nothing
> PROPOSAL 1:6
  append 1:6
> COMMIT 1:6
  committed 1:6
> INFORM 2:1
  append 2:1
  committed 2:1
> NEWLEADER 2:0
  nothing
> INFORM 2:2
  append 2:2
  committed 2:2
> synced 2:2
  save current epoch 2
> saved current 2
  send ACK 2:0
> INFORM 2:3
  append 2:3
  committed 2:3
> UPTODATE
  send ACK 2:0
  established 2
> INFORM 2:4
  append 2:4
  committed 2:4
> INFORM 2:6
  abandon: transaction out of order (after 0x200000004)
# The leader's side.
> leader 1 of=1 observers=4 accepted=1 current=1 last=1:5 remembers=1:5
  save accepted epoch 2
> saved accepted 2
  save current epoch 2
> saved current 2
  established 2
> 4 connects observer accepted=1
  send to 4 LEADERINFO 2:0
> 4: ACKEPOCH 1:1 epoch=1
  take snapshot for 4
> propose 2:1
  nothing
> synced 2:1
  committed 2:1
> applied 2:1
  nothing
> propose 2:2
  nothing
> snapshot 4 2:1
  send to 4 NEWLEADER 2:0
> synced 2:2
  send to 4 INFORM 2:2
  committed 2:2
> 4: ACK 2:0
  send to 4 UPTODATE
  send to 4 PING 2:2 answers=0
> propose 2:3
  nothing
> synced 2:3
  send to 4 INFORM 2:3
  committed 2:3
