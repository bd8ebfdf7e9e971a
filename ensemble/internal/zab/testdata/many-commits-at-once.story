# One acknowledgement says it for all before, and everything that can be is committed in one go.
> leader 1 of=1,2,3,4,5 accepted=1 current=1 last=1:1
  nothing
> 2 connects accepted=1
  nothing
> 3 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 2 LEADERINFO 2:0
  send to 3 LEADERINFO 2:0
> 2: ACKEPOCH 1:1 epoch=1
  nothing
> 3: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  send to 2 DIFF 1:1
  send to 2 NEWLEADER 2:0
  send to 3 DIFF 1:1
  send to 3 NEWLEADER 2:0
> saved current 2
  nothing
> 2: ACK 2:0
  nothing
> 3: ACK 2:0
  established 2
  send to 2 UPTODATE
  send to 3 UPTODATE
  send to 2 PING 2:0 answers=0
  send to 3 PING 2:0 answers=0
> propose 2:1
  send to 2 PROPOSAL 2:1
  send to 3 PROPOSAL 2:1
> propose 2:2
  send to 2 PROPOSAL 2:2
  send to 3 PROPOSAL 2:2
> propose 2:3
  send to 2 PROPOSAL 2:3
  send to 3 PROPOSAL 2:3
> 2: ACK 2:2
  nothing
> 3: ACK 2:3
  nothing
> synced 2:3
  send to 2 COMMIT 2:1
  send to 3 COMMIT 2:1
  send to 2 COMMIT 2:2
  send to 3 COMMIT 2:2
  committed 2:2
> 2: ACK 2:3
  send to 2 COMMIT 2:3
  send to 3 COMMIT 2:3
  committed 2:3
