# A barrier is confirmed when a quorum has answered a PING sent after it was asked for. Barriers asked for meanwhile share the next.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> 3 connects java accepted=1
  nothing
> saved accepted 2
  send to 2 LEADERINFO 2:0
  send to 3 LEADERINFO 2:0
> 2: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  send to 2 DIFF 1:1
  send to 2 NEWLEADER 2:0
> 3: ACKEPOCH 1:1 epoch=1
  send to 3 DIFF 1:1
  send to 3 NEWLEADER 2:0
> saved current 2
  nothing
> 2: ACK 2:0
  established 2
  send to 2 UPTODATE
  send to 2 PING 2:0 answers=0
> 3: ACK 2:0
  send to 3 UPTODATE
  send to 3 PING 2:0 null
> fresh
  false
> barrier
  round 2
> barrier
  round 2
> 3: PING
  pass PING -1
  confirmed 1
  send to 2 PING 2:0 answers=0
  send to 3 PING 2:0 null
> fresh
  true
> 3: PING
  pass PING -1
  confirmed 2
# (An answer nobody asked for means nothing.)
> 3: PING
  nothing
> wait 1500
  send to 2 PING 2:0 answers=0
  send to 3 PING 2:0 null
  send to 2 PING 2:0 answers=0
  send to 3 PING 2:0 null
  send to 2 PING 2:0 answers=0
  send to 3 PING 2:0 null
> fresh
  true
> wait 500
  send to 2 PING 2:0 answers=0
  send to 3 PING 2:0 null
> fresh
  false
> 2: PING
  pass PING -1
> 2: PING
  pass PING -1
> 2: PING
  pass PING -1
  send to 2 PING 2:0 answers=3
> barrier
  round 7
> 2: PING
  pass PING -1
  confirmed 4
> 2: PING
  pass PING -1
  confirmed 5
> 2: PING
  pass PING -1
  confirmed 6
  send to 2 PING 2:0 answers=6
  send to 3 PING 2:0 null
> 2: PING
  pass PING -1
> fresh
  true
# Alone, we are the quorum.
> leader 1 of=1 accepted=1 current=1 last=1:1
  save accepted epoch 2
> saved accepted 2
  save current epoch 2
> saved current 2
  established 2
> barrier
  confirmed 2
  round 2
> fresh
  true
