# DIFF told where the leader's history ends, and the learner believed to be there. When the connection broke half-way, the next
# leader had nothing to send. Here a learner is where its log is.
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:9
  nothing
> PROPOSAL 1:2
  append 1:2
> synced 1:2
  nothing
> learner 2 of=1,2,3 accepted=2 current=1 last=1:2
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 3:0
  save accepted epoch 3
> saved accepted 3
  send ACKEPOCH 1:2 epoch=1
