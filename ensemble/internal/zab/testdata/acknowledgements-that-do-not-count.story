> leader 1 of=1,2,3 accepted=1 current=1 last=1:2
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> 3 connects accepted=1
  nothing
> saved accepted 2
  send to 2 LEADERINFO 2:0
  send to 3 LEADERINFO 2:0
> 2: ACKEPOCH 1:2 epoch=1
  save current epoch 2
  send to 2 DIFF 1:2
  send to 2 NEWLEADER 2:0
> 3: ACKEPOCH 1:2 epoch=1
  send to 3 DIFF 1:2
  send to 3 NEWLEADER 2:0
> saved current 2
  nothing
> 2: ACK 2:0
  established 2
  send to 2 UPTODATE
  send to 2 PING 2:0 answers=0
> propose 2:1
  send to 2 PROPOSAL 2:1
  send to 3 PROPOSAL 2:1
# 3 has not acknowledged NEWLEADER; this is of another epoch; this was never proposed.
> 3: ACK 2:1
  nothing
> synced 2:1
  nothing
> 2: ACK 1:2
  nothing
> 2: ACK 2:0
  nothing
> 2: ACK 2:2
  close 2: acknowledgement of what was never proposed
> committed
  1:2
# A link that ended takes its acknowledgements with it: its server may be cut when it comes back.
> 3: ACK 2:0
  send to 3 UPTODATE
  send to 3 PING 2:1 answers=0
  send to 3 COMMIT 2:1
  committed 2:1
> propose 2:2
  send to 3 PROPOSAL 2:2
> 3: ACK 2:2
  nothing
> drop 3
  nothing
> synced 2:2
  nothing
> committed
  2:1
> 3 connects link=33 accepted=2
  send to 33 LEADERINFO 2:0
> 33: ACKEPOCH 2:2 epoch=-1
  send to 33 TRUNC 2:1
  send to 33 PROPOSAL 2:2
  send to 33 NEWLEADER 2:0
> 33: ACK 2:0
  send to 33 UPTODATE
  send to 33 PING 2:2 answers=0
> 33: ACK 2:2
  send to 33 COMMIT 2:2
  committed 2:2
