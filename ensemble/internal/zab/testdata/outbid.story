# 3 has promised epoch 9 to somebody who came to nothing. It could never follow us. So we make way for an epoch above 9, which 3
# may promise; but not twice for the same, and not for somebody who is no member.
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
> 7 connects accepted=9
  send to 7 LEADERINFO 2:0
> 3 connects accepted=9
  save accepted epoch 9
  send to 3 LEADERINFO 2:0
> drop 3
  nothing
> 3 connects link=33 accepted=9
  send to 33 LEADERINFO 2:0
> saved accepted 9
  abdicate: a member has promised a higher epoch
> leader 2 of=1,2,3 accepted=1 current=2 last=1:1
  nothing
> 1 connects accepted=9
  save accepted epoch 10
> saved accepted 10
  send to 1 LEADERINFO 10:0
> 3 connects accepted=9
  send to 3 LEADERINFO 10:0
