# A proposal that is durable early is not acknowledged before NEWLEADER is.
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0 java
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:1
  nothing
> PROPOSAL 2:1
  append 2:1
> PROPOSAL 2:2
  append 2:2
> synced 2:2
  nothing
> NEWLEADER 2:0
  save current epoch 2
> saved current 2
  send ACK 2:0
> UPTODATE
  send ACK 2:0
  established 2
  send ACK 2:1
  send ACK 2:2
# The other side: Apache's 3.8.4 does it in the wrong order. It counts when NEWLEADER is acknowledged, not earlier.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 2 LEADERINFO 2:0
> 2: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  send to 2 DIFF 1:1
  send to 2 NEWLEADER 2:0
> saved current 2
  nothing
> 2: ACK 2:0
  established 2
  send to 2 UPTODATE
  send to 2 PING 2:0 answers=0
> propose 2:1
  send to 2 PROPOSAL 2:1
> synced 2:1
  nothing
> 3 connects java accepted=1
  send to 3 LEADERINFO 2:0
> 3: ACKEPOCH 1:1 epoch=1
  send to 3 DIFF 1:1
  send to 3 PROPOSAL 2:1
  send to 3 NEWLEADER 2:0
> 3: ACK 2:1
  nothing
> committed
  1:1
> 3: ACK 2:0
  send to 3 UPTODATE
  send to 3 PING 2:1 null
  send to 2 COMMIT 2:1
  send to 3 COMMIT 2:1
  committed 2:1
