# A COMMIT between NEWLEADER and UPTODATE ends the synchronisation of Apache's 3.8. Ours bears it …
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
> NEWLEADER 2:0
  nothing
> COMMIT 2:1
  committed 2:1
> synced 2:1
  save current epoch 2
> saved current 2
  send ACK 2:0
> PROPOSAL 2:2
  append 2:2
> COMMIT 2:2
  committed 2:2
> UPTODATE
  send ACK 2:0
  established 2
  send ACK 2:1
# … and our leader holds it back.
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
> propose 2:2
  send to 2 PROPOSAL 2:2
> synced 2:2
  nothing
> 2: ACK 2:1
  send to 2 COMMIT 2:1
  committed 2:1
> 3 connects java accepted=1
  send to 3 LEADERINFO 2:0
> 3: ACKEPOCH 1:1 epoch=1
  send to 3 DIFF 2:1
  send to 3 PROPOSAL 2:1
  send to 3 COMMIT 2:1
  send to 3 PROPOSAL 2:2
  send to 3 NEWLEADER 2:0
> 2: ACK 2:2
  send to 2 COMMIT 2:2
  committed 2:2
> propose 2:3
  send to 2 PROPOSAL 2:3
  send to 3 PROPOSAL 2:3
> synced 2:3
  nothing
> 2: ACK 2:3
  send to 2 COMMIT 2:3
  committed 2:3
> 3: ACK 2:0
  send to 3 UPTODATE
  send to 3 COMMIT 2:2
  send to 3 COMMIT 2:3
  send to 3 PING 2:3 null
