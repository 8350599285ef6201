"""The networks of the study and the kernels that compute them: the classifier with class maps, the affinity network, and
DeepLab-v2. Their losses and trainings are in `ribstudy.method` and `ribstudy.training`."""
