# Whoever does not fit is sent away, and nobody else notices.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> 1 connects link=11 accepted=1
  close 11: impossible server id
> -5 connects link=12 accepted=1
  close 12: impossible server id
> 2 connects link=13 accepted=0x7fffffff
  close 13: no higher epoch exists
> 2 connects link=14 config=1 accepted=1
  close 14: configuration newer than ours
> 2 connects link=15 accepted=1
  save accepted epoch 2
> 15: PROPOSAL 1:2
  close 15: packet that has no place here
> 2 connects link=16 accepted=1
  nothing
> 16: FOLLOWERINFO 1:0
  close 16: packet that has no place here
> 2 connects link=17 accepted=1
  nothing
> 3 connects link=18 accepted=1
  nothing
> 17: ACK 1:1
  close 17: packet that has no place here
> 18: MYSTERY
  nothing
> saved accepted 2
  send to 18 LEADERINFO 2:0
> 18: REQUEST
  close 18: packet that has no place here
> 3 connects link=19 accepted=1
  send to 19 LEADERINFO 2:0
> 19: ACKEPOCH 3:1 epoch=1
  close 19: learner is ahead of the leader
> 3 connects link=20 accepted=1
  send to 20 LEADERINFO 2:0
# The same server comes again: its old connection is dead, it only does not know.
> 3 connects link=21 accepted=1
  close 20: replaced by a new connection of the same server
  send to 21 LEADERINFO 2:0
> 20: ACKEPOCH 1:1 epoch=1
  nothing
> 21: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  send to 21 DIFF 1:1
  send to 21 NEWLEADER 2:0
