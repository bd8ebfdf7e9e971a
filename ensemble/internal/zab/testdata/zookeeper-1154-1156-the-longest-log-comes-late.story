# 3 has the longest log, but was not there when 1 and 2 went on without its tail 1:4, 1:5. It is cut to exactly what is common.
> leader 1 of=1,2,3 accepted=2 current=2 log=1:3 last=2:2
  nothing
> 2 connects accepted=2
  save accepted epoch 3
> saved accepted 3
  send to 2 LEADERINFO 3:0
> 2: ACKEPOCH 2:2 epoch=2
  save current epoch 3
  send to 2 DIFF 2:2
  send to 2 NEWLEADER 3:0
> saved current 3
  nothing
> 2: ACK 3:0
  established 3
  send to 2 UPTODATE
  send to 2 PING 3:0 answers=0
> 3 connects accepted=1
  send to 3 LEADERINFO 3:0
> 3: ACKEPOCH 1:5 epoch=1
  send to 3 TRUNC 1:3
  send to 3 PROPOSAL 2:1
  send to 3 COMMIT 2:1
  send to 3 PROPOSAL 2:2
  send to 3 COMMIT 2:2
  send to 3 NEWLEADER 3:0
# An Apache server in its place gets a snapshot: it would load its own snapshot of the tail again (ZOOKEEPER-1549).
> 3 connects java link=33 accepted=1
  close 3: replaced by a new connection of the same server
  send to 33 LEADERINFO 3:0
> 33: ACKEPOCH 1:5 epoch=1
  take snapshot for 33
# It is ahead of all we have.
> leader 1 of=1,2,3 accepted=2 current=2 last=1:3
  nothing
> 2 connects accepted=2
  save accepted epoch 3
> saved accepted 3
  send to 2 LEADERINFO 3:0
> 2: ACKEPOCH 1:3 epoch=2
  save current epoch 3
  send to 2 DIFF 1:3
  send to 2 NEWLEADER 3:0
> 3 connects accepted=1
  send to 3 LEADERINFO 3:0
> 3: ACKEPOCH 1:5 epoch=1
  send to 3 TRUNC 1:3
  send to 3 NEWLEADER 3:0
> 3 connects java link=33 accepted=1
  close 3: replaced by a new connection of the same server
  send to 33 LEADERINFO 3:0
> 33: ACKEPOCH 1:5 epoch=1
  send to 33 TRUNC 1:3
  send to 33 NEWLEADER 3:0
