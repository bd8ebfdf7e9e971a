# NEWLEADER was queued before the snapshot was cut, and could be acknowledged without it. Here it stands behind the snapshot and
# what follows it. Commits meanwhile are not forgotten.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:5 remembers=1:4
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 2 LEADERINFO 2:0
> 2: ACKEPOCH 1:5 epoch=1
  save current epoch 2
  send to 2 DIFF 1:5
  send to 2 NEWLEADER 2:0
> saved current 2
  nothing
> 2: ACK 2:0
  established 2
  send to 2 UPTODATE
  send to 2 PING 2:0 answers=0
> 3 connects accepted=1
  send to 3 LEADERINFO 2:0
> 3: ACKEPOCH 1:2 epoch=1
  take snapshot for 3
> propose 2:1
  send to 2 PROPOSAL 2:1
> synced 2:1
  nothing
> 2: ACK 2:1
  send to 2 COMMIT 2:1
  committed 2:1
> propose 2:2
  send to 2 PROPOSAL 2:2
> 3: ACK 2:0
  close 3: packet that has no place here
> 3 connects link=33 accepted=2
  send to 33 LEADERINFO 2:0
> 33: ACKEPOCH 1:2 epoch=-1
  take snapshot for 33
> snapshot 3 1:5
  nothing
> snapshot 33 1:5
  send to 33 PROPOSAL 2:1
  send to 33 COMMIT 2:1
  send to 33 PROPOSAL 2:2
  send to 33 NEWLEADER 2:0
> 33: ACK 2:0
  send to 33 UPTODATE
  send to 33 PING 2:2 answers=0
