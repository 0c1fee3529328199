"""A service whose configuration lies in a RayService: KubeRay hands it to Serve, again and again."""
